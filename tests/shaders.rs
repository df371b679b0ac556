//! Every shader is valid, and every entry point translates to the language of every backend.

use naga::back::{self, PipelineConstants};
use naga::valid::ModuleInfo;
use naga::{Module, ShaderStage};
use sasnet::low_level::gpu::reflect;
use std::io::Write;
use std::process::{Command, Stdio};

/// Calls `f` with each entry point: its name, the module with constants put in, and the entry point's own name. The
/// overrides are tried at both ends. `has` says whether the language has what a shader needs, with f16
/// where the second is true, with 64-bit integers where the third is.
fn each_entry_point(has: impl Fn(&str, bool, bool) -> bool, mut f: impl FnMut(&str, &Module, &ModuleInfo, &str)) {
    let mut count = 0;
    let wide = |stem: &str| if reflect::has_pairs(stem) { vec![false, true] } else { vec![false] };
    let shaders =
        reflect::shaders().flat_map(|(stem, half)| wide(stem).into_iter().map(move |wide| (stem, half, wide)));
    for (stem, half, wide) in shaders.filter(|(stem, half, wide)| has(stem, *half, *wide)) {
        let (module, info) = reflect::parse(stem, half, wide);
        let settings: &[&[(&str, f64)]] = match stem {
            "conv3x3" => &[
                &[("GROUPS", 1.0), ("DEPTH", 1.0), ("STRIPS", 4.0), ("PAIRS", 1.0), ("PARTS", 8.0), ("LINES", 1.0)],
                &[],
            ],
            "conv3x3_matrix8" => &[&[("LANES", 8.0), ("STACK", 16.0)], &[]],
            _ => &[&[]],
        };
        for setting in settings {
            let mut constants = PipelineConstants::default();
            constants.extend(setting.iter().map(|(name, value)| (name.to_string(), *value)));
            for entry in &module.entry_points {
                let point = (ShaderStage::Compute, entry.name.as_str());
                let (module, info) =
                    back::pipeline_constants::process_overrides(&module, &info, Some(point), &constants)
                        .unwrap_or_else(|e| panic!("{stem}.{}: {e}", entry.name));
                let name = format!("{stem}{}.{}", if half { " (f16)" } else { "" }, entry.name);
                f(&name, &module, &info, &entry.name);
                count += 1;
            }
        }
    }
    assert!(count > 0, "no entry point");
}

fn without_matrices(stem: &str, _half: bool, _wide: bool) -> bool {
    !reflect::is_matrix(stem)
}

fn spirv(name: &str, module: &Module, info: &ModuleInfo, entry: &str) -> Vec<u8> {
    let options = back::spv::Options { lang_version: (1, 3), ..Default::default() };
    let pipeline = back::spv::PipelineOptions { shader_stage: ShaderStage::Compute, entry_point: entry.into() };
    let words = back::spv::write_vec(module, info, &options, Some(&pipeline));
    words.unwrap_or_else(|e| panic!("{name}: {e}")).iter().flat_map(|w| w.to_le_bytes()).collect()
}

#[test]
fn spirv_is_valid() {
    each_entry_point(without_matrices, |name, module, info, entry| {
        let mut validator = Command::new("spirv-val")
            .args(["--target-env", "vulkan1.1", "-"])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap_or_else(|e| panic!("spirv-val: {e}; apt-get install spirv-tools"));
        validator.stdin.take().expect("piped").write_all(&spirv(name, module, info, entry)).expect("spirv-val reads");
        let result = validator.wait_with_output().expect("spirv-val ends");
        assert!(result.status.success(), "{name}: {}", String::from_utf8_lossy(&result.stderr));
    });
}

#[test]
fn metal() {
    each_entry_point(without_matrices, |name, module, info, entry| {
        let options = back::msl::Options { lang_version: (2, 0), ..Default::default() };
        let point = Some((ShaderStage::Compute, entry.to_string()));
        let pipeline = back::msl::PipelineOptions { entry_point: point, ..Default::default() };
        let (text, _) =
            back::msl::write_string(module, info, &options, &pipeline).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(text.contains("kernel void"), "{name}");
    });
}

#[test]
fn hlsl() {
    each_entry_point(without_matrices, |name, module, info, entry| {
        let options = back::hlsl::Options::default();
        let pipeline = back::hlsl::PipelineOptions { entry_point: Some((ShaderStage::Compute, entry.to_string())) };
        let mut text = String::new();
        let result = back::hlsl::Writer::new(&mut text, &options, &pipeline).write(module, info, None);
        result.unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(text.contains("numthreads"), "{name}");
    });
}

#[test]
fn glsl() {
    each_entry_point(
        |_, half, wide| !half && !wide,
        |name, module, info, entry| {
            let options = back::glsl::Options::default();
            let pipeline = back::glsl::PipelineOptions {
                shader_stage: ShaderStage::Compute,
                entry_point: entry.into(),
                multiview: None,
            };
            let mut text = String::new();
            let policies = naga::proc::BoundsCheckPolicies::default();
            back::glsl::Writer::new(&mut text, module, info, &options, &pipeline, policies)
                .and_then(|mut w| w.write())
                .unwrap_or_else(|e| panic!("{name}: {e}"));
            assert!(text.contains("local_size_x"), "{name}");
        },
    );
}

/// What the validator does not take: translated all the same, to the two languages that have cooperative matrices.
#[test]
fn matrices() {
    each_entry_point(
        |stem, _, _| reflect::is_matrix(stem),
        |name, module, info, entry| {
            let options = back::spv::Options { lang_version: (1, 6), ..Default::default() };
            let pipeline = back::spv::PipelineOptions { shader_stage: ShaderStage::Compute, entry_point: entry.into() };
            let words = back::spv::write_vec(module, info, &options, Some(&pipeline));
            assert!(words.unwrap_or_else(|e| panic!("{name}: {e}")).len() > 100, "{name}");
            // Metal's are of 8x8 alone.
            if name.contains("matrix8") {
                let options = back::msl::Options { lang_version: (2, 3), ..Default::default() };
                let point = Some((ShaderStage::Compute, entry.to_string()));
                let pipeline = back::msl::PipelineOptions { entry_point: point, ..Default::default() };
                let text = back::msl::write_string(module, info, &options, &pipeline);
                assert!(text.unwrap_or_else(|e| panic!("{name}: {e}")).0.contains("kernel void"), "{name}");
            }
        },
    );
}
