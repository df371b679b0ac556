//! Shaders and pipelines, compiled when they are first used.

use super::reflect::{Entry, Reflection};
use super::texture::TextureKernels;
use super::{Gpu, cache};
use crate::error::Result;
use crate::kernel::{Dispatch, Kernels, RunParams, Shader, Variant};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// All that a device has compiled.
#[derive(Default)]
pub(super) struct Compiled {
    modules: Mutex<HashMap<ModuleKey, Arc<Module>>>,
    pipelines: Mutex<HashMap<PipelineKey, Arc<Pipeline>>>,
    pub(super) textures: Mutex<HashMap<wgpu::TextureFormat, Arc<TextureKernels>>>,
}

impl Compiled {
    /// Forgets what was made of a shader.
    pub(super) fn forget(&mut self, stem: &str) {
        self.modules.get_mut().unwrap().retain(|key, _| key.stem != stem);
        self.pipelines.get_mut().unwrap().retain(|key, _| key.module.stem != stem);
        self.textures.get_mut().unwrap().clear();
    }
}

/// Whether a kernel's indices and loops are checked as it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Checks {
    /// Always: whatever buffers it is given, it stays inside them.
    All,
    /// Not where the shader's record has an argument for that ([`Shader::unchecked`]), which holds for buffers as long
    /// as the kernel's parameters say, and where the family's record does not say that it is slower without.
    AsDeclared,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct ModuleKey {
    stem: &'static str,
    half: bool,
    unchecked: bool,
}

impl ModuleKey {
    /// The module that a dispatch needs. `replaced`: the text is not the one that the shader's record speaks of.
    fn of(dispatch: &Dispatch, kernels: Kernels, checks: Checks, replaced: bool) -> ModuleKey {
        let shader = dispatch.shader;
        let keeps = kernels.family().keeps_checks.contains(&(shader.stem, dispatch.entry));
        let unchecked = checks == Checks::AsDeclared && shader.unchecked.is_some() && !replaced && !keeps;
        ModuleKey { stem: shader.stem, half: dispatch.half && shader.has_act(), unchecked }
    }
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct PipelineKey {
    module: ModuleKey,
    entry: &'static str,
    /// By name, with their bits.
    constants: Vec<(&'static str, u64)>,
}

struct Module {
    raw: wgpu::ShaderModule,
    reflection: Reflection,
}

/// A compiled kernel.
pub(super) struct Pipeline {
    pub(super) raw: wgpu::ComputePipeline,
    pub(super) layout: wgpu::BindGroupLayout,
    pub(super) entry: Entry,
}

impl Gpu {
    /// Compiles a dispatch's kernel as [`Gpu::record_unchecked_async`] takes it, unless it is there.
    ///
    /// # Errors
    /// [`crate::Error::Gpu`] where the device fails.
    pub(crate) async fn compile_async(&self, dispatch: &Dispatch) -> Result<()> {
        self.pipeline(dispatch, Checks::AsDeclared).await.map(drop)
    }

    /// Kernels that are compiled.
    pub fn compiled_kernels(&self) -> usize {
        self.compiled.pipelines.lock().unwrap().len() + self.compiled.textures.lock().unwrap().len()
    }

    /// The WGSL of a shader for this device.
    pub(super) fn source(&self, shader: &Shader, half: bool) -> String {
        let text = shader.source(Variant { half, wide: self.wide });
        self.replaced.get(shader.stem).into_iter().flatten().fold(text, |text, (from, to)| {
            let (text, count) = replace_words(&text, from, to);
            assert!(count > 0, "{from:?} occurs nowhere in shaders/{}.wgsl", shader.stem);
            text
        })
    }

    async fn module(&self, shader: &'static Shader, key: &ModuleKey) -> Result<Arc<Module>> {
        if let Some(module) = self.compiled.modules.lock().unwrap().get(key) {
            return Ok(module.clone());
        }
        let source = wgpu::ShaderSource::Wgsl(self.source(shader, key.half).into());
        let descriptor = wgpu::ShaderModuleDescriptor { label: Some(shader.stem), source };
        let create = || match key.unchecked {
            // SAFETY: who asked for kernels without checks answers for the buffers' lengths (`Gpu::record_unchecked`),
            // and for these the shader's record says why no index passes an end. The text is our own.
            true => unsafe {
                self.device.create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked())
            },
            false => self.device.create_shader_module(descriptor),
        };
        let raw = self.checked(|| format!("shader {}", shader.stem), create).await?;
        let module = Arc::new(Module { raw, reflection: Reflection::of(shader, key.half) });
        self.compiled.modules.lock().unwrap().insert(key.clone(), module.clone());
        Ok(module)
    }

    /// The kernel of a dispatch. Panics where the shader has no such entry point or constant.
    pub(super) async fn pipeline(&self, dispatch: &Dispatch, checks: Checks) -> Result<Arc<Pipeline>> {
        let shader = dispatch.shader;
        let (stem, name) = (shader.stem, dispatch.entry);
        let module = ModuleKey::of(dispatch, self.kernels, checks, self.replaced.contains_key(stem));
        let constants = dispatch.constants.iter().map(|(n, v)| (*n, v.to_bits())).collect();
        let key = PipelineKey { module, entry: name, constants };
        if let Some(pipeline) = self.compiled.pipelines.lock().unwrap().get(&key) {
            return Ok(pipeline.clone());
        }
        let module = self.module(shader, &key.module).await?;
        let entry = module.reflection.entries.get(name);
        let entry = entry.unwrap_or_else(|| panic!("shader {stem} has no entry point {name:?}")).clone();
        for (constant, _) in &dispatch.constants {
            let known = &module.reflection.constants;
            let is_known = known.iter().any(|k| k == constant);
            assert!(is_known, "{stem}.{name}: constant {constant:?} is not one of {known:?}");
        }
        let what = || format!("pipeline {stem}.{name}");
        let (raw, layout) = self.checked(what, || self.build(dispatch, &module.raw, &entry)).await?;
        let pipeline = Arc::new(Pipeline { raw, layout, entry });
        self.compiled.pipelines.lock().unwrap().insert(key, pipeline.clone());
        Ok(pipeline)
    }

    fn build(
        &self,
        dispatch: &Dispatch,
        module: &wgpu::ShaderModule,
        entry: &Entry,
    ) -> (wgpu::ComputePipeline, wgpu::BindGroupLayout) {
        let label = format!("{}.{}", dispatch.shader.stem, dispatch.entry);
        let slot = |binding, ty, size: usize| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer {
                ty,
                has_dynamic_offset: false,
                min_binding_size: wgpu::BufferSize::new(size as u64),
            },
            count: None,
        };
        let uniform = wgpu::BufferBindingType::Uniform;
        let mut entries = Vec::new();
        entries.extend(entry.run.map(|i| slot(i, uniform, size_of::<RunParams>())));
        entries.extend(entry.params.map(|i| slot(i, uniform, entry.params_size)));
        for b in &entry.storage {
            let ty = wgpu::BufferBindingType::Storage { read_only: !b.writable };
            entries.push(slot(b.index, ty, b.stride as usize));
        }
        let layout = self
            .device
            .create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: Some(&label), entries: &entries });
        let pipeline_layout = self.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(&label),
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
        });
        let pipeline = self.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(&label),
            layout: Some(&pipeline_layout),
            module,
            entry_point: Some(dispatch.entry),
            compilation_options: wgpu::PipelineCompilationOptions {
                constants: &dispatch.constants,
                // Every kernel fills its workgroup memory before it reads it.
                zero_initialize_workgroup_memory: false,
            },
            cache: self.cache.as_ref().map(cache::Cache::raw),
        });
        (pipeline, layout)
    }
}

/// Replaces each occurrence of `from`, and counts them. White space matches any other: how a line is broken or indented
/// does not matter.
fn replace_words(text: &str, from: &str, to: &str) -> (String, usize) {
    let (mut out, mut rest, mut count) = (String::with_capacity(text.len()), text, 0);
    while let Some(first) = rest.chars().next() {
        match match_words(rest, from) {
            Some(len) => {
                out += to;
                rest = &rest[len..];
                count += 1;
            }
            None => {
                out.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    (out, count)
}

/// Bytes of the occurrence of `from` that `text` begins with.
fn match_words(text: &str, from: &str) -> Option<usize> {
    let (mut left, mut wanted) = (text, from);
    while let Some(c) = wanted.chars().next() {
        if c.is_whitespace() {
            let after = left.trim_start();
            (after.len() < left.len()).then_some(())?;
            (left, wanted) = (after, wanted.trim_start());
        } else {
            left = left.strip_prefix(c)?;
            wanted = &wanted[c.len_utf8()..];
        }
    }
    Some(text.len() - left.len())
}

#[cfg(test)]
mod replacement_tests {
    use super::replace_words;

    #[test]
    fn white_space_matches_any_other() {
        let text = "if i >= n {\n        return;\n    }\n    y[i] = a[i]; y[i] = a[i];";
        assert_eq!(
            replace_words(text, "{ return; } y[i] = a", "{} y[i] = b"),
            ("if i >= n {} y[i] = b[i]; y[i] = a[i];".into(), 1)
        );
        assert_eq!(replace_words("a a  a", "a ", "b"), ("bba".into(), 2));
        assert_eq!(replace_words(text, "returns", "x").1, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Grid;

    /// Most drivers keep to a buffer's end by themselves, so that no run shows what is compiled.
    #[test]
    fn only_what_is_declared_and_vouched_for_is_unchecked() {
        static DECLARED: Shader = Shader { unchecked: Some("it has no index"), ..Shader::new("declared", "") };
        static OTHER: Shader = Shader::new("other", "");
        let dispatch = |shader| Dispatch {
            shader,
            half: true,
            entry: "main",
            constants: vec![],
            bindings: vec![],
            params: vec![],
            grid: Grid::Linear(1),
        };
        let of = |shader, kernels, checks, replaced| ModuleKey::of(&dispatch(shader), kernels, checks, replaced);
        let unchecked = |shader, checks, replaced| of(shader, Kernels::Gpu, checks, replaced).unchecked;
        assert!(unchecked(&DECLARED, Checks::AsDeclared, false));
        assert!(!unchecked(&DECLARED, Checks::All, false), "commands that anybody may record");
        assert!(!unchecked(&DECLARED, Checks::AsDeclared, true), "a test's wrong text");
        assert!(!unchecked(&OTHER, Checks::AsDeclared, false));
        assert!(!of(&OTHER, Kernels::Gpu, Checks::All, false).half, "no activations");
        static SLOWER: Shader = Shader { unchecked: Some("it has no index"), ..Shader::new("channel_attention", "") };
        let slower = |kernels| {
            let dispatch = Dispatch { entry: "reduce", ..dispatch(&SLOWER) };
            ModuleKey::of(&dispatch, kernels, Checks::AsDeclared, false).unchecked
        };
        assert!(slower(Kernels::Gpu) && !slower(Kernels::SoftwareSimd), "as the family's record says");
    }
}
