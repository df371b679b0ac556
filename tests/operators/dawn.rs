//! What `tools/web.sh dawn` gives to Dawn, the WebGPU of Chromium, as JSON: every shader, every kernel that the cases run,
//! and the cases of hidden maps themselves with what f64 says.

use super::*;
use sasnet::lab::bench::PEAK_SHADER;
use sasnet::low_level::gpu::{DRAW, LOAD, STORE};
use sasnet::low_level::kernel::{Dispatch, Grid, Shader, Variant};
use sasnet::low_level::plan::Region;
use serde_json::{Value as Json, json};

/// The name that Dawn's messages give a shader's text.
fn name(shader: &Shader, half: bool) -> String {
    let form = if half && !shader.matrices { " (f16)" } else { "" };
    format!("{}{form}", shader.stem)
}

/// Every text that a browser can have, and the names of those that it cannot.
fn shaders() -> (Json, Vec<String>) {
    let (mut texts, mut not_for_browsers) = (serde_json::Map::new(), vec![]);
    for shader in SHADERS.iter().copied().chain([&PEAK_SHADER, &LOAD, &STORE, &DRAW]) {
        for variant @ Variant { half, wide } in shader.variants() {
            let name = name(shader, half);
            if shader.matrices {
                not_for_browsers.push(format!("{name}: cooperative matrices"));
            } else if wide {
                not_for_browsers.push(format!("{name}: 64-bit integers"));
            } else {
                let (module, _) = reflect::parse(shader, variant);
                let entries = module.entry_points.iter().map(|entry| (format!("{:?}", entry.stage), &entry.name));
                let entries: Vec<_> = entries.collect();
                texts.insert(name, json!({ "text": shader.source(variant), "entries": entries }));
            }
        }
    }
    (texts.into(), not_for_browsers)
}

/// A kernel: its shader, entry point and constants.
fn pipeline(dispatch: &Dispatch) -> Json {
    let constants: BTreeMap<&str, f64> = dispatch.constants.iter().copied().collect();
    let half = dispatch.half && dispatch.shader.has_act();
    json!({ "shader": name(dispatch.shader, half), "entry": dispatch.entry, "constants": constants })
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}

fn bytes(at: Region) -> Json {
    json!({ "buffer": at.buffer, "offset": 4 * at.offset, "size": 4 * at.words() })
}

/// A run of a kernel, with all that it is given.
fn dispatch((dispatch, regions): &(Dispatch, Vec<Region>)) -> Json {
    let reflection = reflect::Reflection::of(dispatch.shader, dispatch.half && dispatch.shader.has_act());
    let entry = &reflection.entries[dispatch.entry];
    let given = || dispatch.bindings.iter().zip(regions);
    let bindings = entry.storage.iter().map(|binding| {
        let (_, at) = given().find(|((name, _), _)| *name == binding.name).expect("every binding is given");
        json!([binding.index, bytes(*at)])
    });
    let grid = match dispatch.grid {
        Grid::Threads(threads) => json!({ "threads": threads.to_array(), "size": entry.workgroup_size }),
        Grid::Workgroups(groups) => json!({ "groups": groups.to_array() }),
        Grid::Linear(len) => json!({ "threads": [len, 1, 1], "size": entry.workgroup_size }),
    };
    json!({
        "pipeline": pipeline(dispatch), "bindings": bindings.collect::<Vec<_>>(), "grid": grid, "run": entry.run,
        "params": entry.params.map(|index| json!([index, entry.encode(dispatch.entry, &dispatch.params)])),
    })
}

/// A case as a browser runs it: memory, what is written to it, kernels, and what f64 says.
fn case(case: &Case, plan: &Plan) -> Json {
    assert!(case.state.is_empty() && plan.prepack.kernels.is_empty() && case.runs == [RunParams::default()]);
    let at = |value: Value| bytes(plan.region(value).expect("it is in the plan"));
    let inputs = case.inputs.iter().map(|(value, data)| json!({ "at": at(*value), "data": bits(data) }));
    let compared = case.compared.iter().zip(&case.want).map(|(compared, want)| {
        let tolerance = compared.kind.tolerance();
        json!({ "name": compared.name, "at": at(compared.value), "want": want, "tolerance": tolerance })
    });
    json!({
        "name": case.name,
        "buffers": plan.buffers.iter().map(|buffer| 4 * buffer.len).collect::<Vec<_>>(),
        "inputs": inputs.collect::<Vec<_>>(),
        "run": bytemuck::bytes_of(&RunParams::default()),
        "dispatches": plan.steps.iter().flat_map(|step| &step.dispatches).map(dispatch).collect::<Vec<_>>(),
        "compared": compared.collect::<Vec<_>>(),
    })
}

/// Writes all of it into the file that `SASNET_DAWN` names.
#[test]
#[ignore = "a part of tools/web.sh dawn"]
fn write_for_dawn() {
    let plan = |case: &Case, kernels| Plan::new(&case.graph, Target::Gpu { max_binding: 1 << 27, kernels }).unwrap();
    let mut pipelines = BTreeMap::new();
    for (cases, kernels) in [(&CASES, Kernels::Gpu), (&CASES, Kernels::SoftwareSimd), (&HALF_CASES, Kernels::GpuF16)] {
        for plan in cases.iter().map(|case| plan(case, kernels)) {
            let all = plan.steps.iter().flat_map(|step| &step.dispatches).chain(&plan.prepack.kernels);
            pipelines.extend(all.map(|(dispatch, _)| pipeline(dispatch)).map(|p| (p.to_string(), p)));
        }
    }
    let (shaders, not_for_browsers) = shaders();
    let cases: Vec<Json> = HALF_CASES.iter().map(|c| case(c, &plan(c, Kernels::GpuF16))).collect();
    let all = json!({
        "shaders": shaders, "not_for_browsers": not_for_browsers, "cases": cases,
        "pipelines": pipelines.into_values().collect::<Vec<_>>(),
    });
    let path = std::env::var("SASNET_DAWN").expect("SASNET_DAWN names the file");
    std::fs::write(path, all.to_string()).unwrap();
}
