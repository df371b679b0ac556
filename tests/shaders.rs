//! Every shader is valid, and every entry point translates to the language of every backend.

use naga::back::{self, PipelineConstants};
use naga::valid::ModuleInfo;
use naga::{Module, ShaderStage};
use sasnet::lab::bench;
use sasnet::low_level::gpu::reflect::{self, Reflection};
use sasnet::low_level::gpu::{DRAW, LOAD, STORE};
use sasnet::low_level::kernel::{Shader, Variant};
use sasnet::low_level::ops::channel_attention::{TILE_COLUMNS, TILE_ROWS};
use sasnet::low_level::ops::{SHADERS, adam, add, conv3x3};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Command, Stdio};

/// All shaders: those of the operators, the one that measures a device, and those of a host's textures.
fn all_shaders() -> impl Iterator<Item = &'static Shader> {
    SHADERS.iter().copied().chain([&bench::PEAK_SHADER, &LOAD, &STORE, &DRAW])
}

/// An entry point: its stage and its own name.
type Point<'a> = (ShaderStage, &'a str);

/// Calls `f` with each entry point: its name, the module with constants put in, and the entry point. The
/// overrides are tried at both ends. `has` says whether the language has what a shader's variant needs.
fn each_entry_point(has: impl Fn(&Shader, Variant) -> bool, mut f: impl FnMut(&str, &Module, &ModuleInfo, Point)) {
    let mut count = 0;
    let variants = all_shaders().flat_map(|shader| shader.variants().into_iter().map(move |variant| (shader, variant)));
    for (shader, variant) in variants.filter(|(shader, variant)| has(shader, *variant)) {
        let (module, info) = reflect::parse(shader, variant);
        let stem = shader.stem;
        let settings: &[&[(&str, f64)]] = match stem {
            "conv3x3" => &[
                &[("GROUPS", 1.0), ("DEPTH", 1.0), ("STRIPS", 4.0), ("PAIRS", 1.0), ("PARTS", 8.0), ("LINES", 1.0)],
                &[("GROUPS", 16.0), ("DEPTH", 1.0), ("HALVES", 2.0), ("LINES", 1.0)],
                &[],
            ],
            "conv3x3_matrix8" => &[&[("SUBGROUP_SIZE", 8.0), ("STACK", 16.0)], &[]],
            _ => &[&[]],
        };
        for setting in settings {
            let mut constants = PipelineConstants::default();
            constants.extend(setting.iter().map(|(name, value)| (name.to_string(), *value)));
            for entry in &module.entry_points {
                let point = (entry.stage, entry.name.as_str());
                let (module, info) =
                    back::pipeline_constants::process_overrides(&module, &info, Some(point), &constants)
                        .unwrap_or_else(|e| panic!("{stem}.{}: {e}", entry.name));
                let name = format!("{stem}{}.{}", if variant.half { " (f16)" } else { "" }, entry.name);
                f(&name, &module, &info, point);
                count += 1;
            }
        }
    }
    assert!(count > 0, "no entry point");
}

fn without_matrices(shader: &Shader, _: Variant) -> bool {
    !shader.matrices
}

fn spirv(name: &str, module: &Module, info: &ModuleInfo, (shader_stage, entry): Point) -> Vec<u8> {
    let options = back::spv::Options { lang_version: (1, 3), ..Default::default() };
    let pipeline = back::spv::PipelineOptions { shader_stage, entry_point: entry.into() };
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
    each_entry_point(without_matrices, |name, module, info, (stage, entry)| {
        let options = back::msl::Options { lang_version: (2, 0), ..Default::default() };
        let point = Some((stage, entry.to_string()));
        let pipeline = back::msl::PipelineOptions { entry_point: point, ..Default::default() };
        let (text, _) =
            back::msl::write_string(module, info, &options, &pipeline).unwrap_or_else(|e| panic!("{name}: {e}"));
        let kind = match stage {
            ShaderStage::Compute => "kernel ",
            ShaderStage::Vertex => "vertex ",
            _ => "fragment ",
        };
        assert!(text.contains(kind), "{name}");
    });
}

#[test]
fn hlsl() {
    each_entry_point(without_matrices, |name, module, info, (stage, entry)| {
        let options = back::hlsl::Options::default();
        let pipeline = back::hlsl::PipelineOptions { entry_point: Some((stage, entry.to_string())) };
        let mut text = String::new();
        let result = back::hlsl::Writer::new(&mut text, &options, &pipeline).write(module, info, None);
        result.unwrap_or_else(|e| panic!("{name}: {e}"));
        let kind = match stage {
            ShaderStage::Compute => "numthreads",
            ShaderStage::Vertex => "SV_Position",
            _ => "SV_Target",
        };
        assert!(text.contains(kind), "{name}");
    });
}

#[test]
fn glsl() {
    each_entry_point(
        |_, variant| variant == Variant::default(),
        |name, module, info, (shader_stage, entry)| {
            let options = back::glsl::Options::default();
            let pipeline = back::glsl::PipelineOptions { shader_stage, entry_point: entry.into(), multiview: None };
            let mut text = String::new();
            let policies = naga::proc::BoundsCheckPolicies::default();
            back::glsl::Writer::new(&mut text, module, info, &options, &pipeline, policies)
                .and_then(|mut w| w.write())
                .unwrap_or_else(|e| panic!("{name}: {e}"));
            assert_eq!(text.contains("local_size_x"), shader_stage == ShaderStage::Compute, "{name}");
        },
    );
}

/// What the validator does not take: translated all the same, to the two languages that have cooperative matrices.
#[test]
fn matrices() {
    each_entry_point(
        |shader, _| shader.matrices,
        |name, module, info, (shader_stage, entry)| {
            let options = back::spv::Options { lang_version: (1, 6), ..Default::default() };
            let pipeline = back::spv::PipelineOptions { shader_stage, entry_point: entry.into() };
            let words = back::spv::write_vec(module, info, &options, Some(&pipeline));
            assert!(words.unwrap_or_else(|e| panic!("{name}: {e}")).len() > 100, "{name}");
            // Metal's are of 8x8 alone.
            if name.contains("matrix8") {
                let options = back::msl::Options { lang_version: (2, 3), ..Default::default() };
                let point = Some((shader_stage, entry.to_string()));
                let pipeline = back::msl::PipelineOptions { entry_point: point, ..Default::default() };
                let text = back::msl::write_string(module, info, &options, &pipeline);
                assert!(text.unwrap_or_else(|e| panic!("{name}: {e}")).0.contains("kernel void"), "{name}");
            }
        },
    );
}

/// No file in `shaders/` is forgotten: each is a shader, or stands in front of one.
#[test]
fn every_file_is_a_shader() {
    let files = std::fs::read_dir("shaders").unwrap().map(|file| file.unwrap().path());
    let texts = all_shaders().flat_map(|shader| [shader.text.to_string(), shader.prelude.to_string()]);
    let known: BTreeSet<String> = texts.collect();
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        let common = ["common.wgsl", "reflection.json"].iter().any(|name| path.ends_with(name));
        assert!(common || known.contains(&text), "{} is no shader's", path.display());
    }
    let stems: BTreeSet<&str> = all_shaders().map(|shader| shader.stem).collect();
    assert_eq!(stems.len(), all_shaders().count(), "stems are unique");
}

#[test]
fn only_what_an_entry_point_uses_is_listed() {
    let conv = Reflection::of(&conv3x3::TILES_SHADER, false);
    let known = &conv.constants;
    assert!(["GROUPS", "DEPTH", "STRIPS"].iter().all(|n| known.iter().any(|c| c == n)), "{known:?}");
    let forward = &conv.entries["forward"];
    let names: Vec<_> = forward.storage.iter().map(|b| (b.name.as_str(), b.writable)).collect();
    let read = ["packed_in", "cgate", "sgate", "a", "e"].map(|name| (name, false));
    assert_eq!(names, [&[("x", false), ("r", false), ("y", true)][..], &read].concat());
    assert_eq!((forward.run, forward.params), (None, Some(1)));
    assert_eq!(conv.entries["pack"].workgroup_size, [256, 1, 1]);
    assert_eq!(Reflection::of(&adam::SHADER, false).entries["adam"].run, Some(0));
}

#[test]
fn parameters_are_laid_out_by_name() {
    let add = &Reflection::of(&add::SHADER, false).entries["add"];
    let bytes = add.encode("add", &[("k", 0.5.into()), ("len", 7usize.into())]);
    assert_eq!(bytemuck::pod_collect_to_vec::<u8, u32>(&bytes), [7, 0.5f32.to_bits()]);
}

#[test]
#[should_panic(expected = r#"missing ["k"], superfluous ["q"]"#)]
fn a_wrong_name_is_a_panic() {
    Reflection::of(&add::SHADER, false).entries["add"].encode("add", &[("q", 0.5.into()), ("len", 7usize.into())]);
}

#[test]
fn every_entry_point_keeps_the_baseline_limits() {
    for (shader, variant) in all_shaders().flat_map(|shader| shader.variants().into_iter().map(move |v| (shader, v))) {
        for (name, entry) in Reflection::of(shader, variant.half).entries {
            let name = format!("{}.{name}", shader.stem);
            assert!(entry.storage.len() <= 8, "{name}: {} storage buffers", entry.storage.len());
            let invocations: u32 = entry.workgroup_size.iter().product();
            assert!(invocations <= 256, "{name}: {invocations} invocations");
            assert!(entry.params.is_some() || name == "texture_draw.corner", "{name} has no parameters");
        }
    }
}

/// The tiles of statistics are as large in every shader as in Rust.
#[test]
fn shaders_and_rust_have_the_same_tiles() {
    let mut count = 0;
    for shader in all_shaders() {
        let (module, _) = reflect::parse(shader, shader.variants()[0]);
        for (name, want) in [("TILE_ROWS", TILE_ROWS), ("TILE_COLUMNS", TILE_COLUMNS)] {
            let constants = module.constants.iter().map(|(_, constant)| constant);
            for constant in constants.filter(|constant| constant.name.as_deref() == Some(name)) {
                let value = &module.global_expressions[constant.init];
                let naga::Expression::Literal(naga::Literal::U32(value)) = value else { panic!("{name}: {value:?}") };
                assert_eq!(*value as usize, want, "{}: {name}", shader.stem);
                count += 1;
            }
        }
    }
    assert_eq!(count, 2 * 5, "channel_attention and four shaders of the convolution");
}

/// Browsers, which have no naga, get from the committed file what naga reads.
#[test]
fn reflection_is_as_committed() {
    let path = "shaders/reflection.json";
    let forms = |shader: &'static Shader| {
        let variants = shader.variants();
        let read = |half| variants.contains(&Variant { half, wide: false }).then(|| Reflection::of(shader, half));
        (shader.stem, [false, true].map(read))
    };
    let table: BTreeMap<&str, [Option<Reflection>; 2]> =
        all_shaders().filter(|shader| !shader.matrices).map(forms).collect();
    // A line for each shader, so that a change shows.
    let lines = table.iter().map(|(stem, forms)| format!("{}: {}", json(stem), json(forms)));
    let text = format!("{{\n{}\n}}\n", lines.collect::<Vec<_>>().join(",\n"));
    if std::env::var_os("SASNET_RENEW_GOLDEN").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(text == committed, "{path} is old; renew it with SASNET_RENEW_GOLDEN=1 cargo test --test shaders");
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap()
}

/// Generated code is committed, so that a change of it shows in a diff.
#[test]
fn generated_code_is_as_committed() {
    let renew = std::env::var_os("SASNET_RENEW_GOLDEN").is_some();
    for shader in SHADERS.iter().filter(|shader| shader.generator.is_some()) {
        for variant in shader.variants().into_iter().filter(|variant| !variant.wide) {
            let form = if variant.half && !shader.matrices { "-f16" } else { "" };
            let path = format!("tests/golden/{}{form}.wgsl", shader.stem);
            let text = shader.source(variant);
            if renew {
                std::fs::write(&path, &text).unwrap();
            }
            let committed = std::fs::read_to_string(&path).unwrap_or_default();
            let line = text.lines().zip(committed.lines()).take_while(|(a, b)| a == b).count() + 1;
            assert!(
                text == committed,
                "{path} is not what is generated, from line {line} on; if that is wanted, renew it with \
                 SASNET_RENEW_GOLDEN=1 cargo test --test shaders, and read the diff"
            );
        }
    }
}
