//! A host's textures: reading one into planes, and writing planes into one.

use super::reflect::{Entry, Reflection};
use super::{Buffer, Gpu, Slice};
use crate::error::Result;
use crate::kernel::{PARAMS_STRIDE, Param, Shader};
use std::sync::Arc;
use wgpu::TextureFormat;

const PRELUDE: &str = include_str!("../../shaders/texture.wgsl");

/// Reads a texture into a slab of planes.
pub static LOAD: Shader =
    Shader { prelude: PRELUDE, ..Shader::new("texture_load", include_str!("../../shaders/texture_load.wgsl")) };
/// Writes a slab of planes into a storage texture.
pub static STORE: Shader =
    Shader { prelude: PRELUDE, ..Shader::new("texture_store", include_str!("../../shaders/texture_store.wgsl")) };
/// Draws a slab of planes into a colour target.
pub static DRAW: Shader =
    Shader { prelude: PRELUDE, ..Shader::new("texture_draw", include_str!("../../shaders/texture_draw.wgsl")) };

/// The format of the storage texture in the text of [`STORE`].
const STORED: &str = "rgba8unorm";

/// The name that WGSL has for a format of storage textures that hold floating-point values.
fn storage_name(format: TextureFormat) -> Option<&'static str> {
    use TextureFormat::*;
    Some(match format {
        R8Unorm => "r8unorm",
        R16Float => "r16float",
        R32Float => "r32float",
        Rgba8Unorm => "rgba8unorm",
        Bgra8Unorm => "bgra8unorm",
        Rgb10a2Unorm => "rgb10a2unorm",
        Rgba16Unorm => "rgba16unorm",
        Rgba16Float => "rgba16float",
        Rgba32Float => "rgba32float",
        _ => return None,
    })
}

/// The kernels that read any texture of floating-point values and write one of a format.
pub struct TextureKernels {
    load: (wgpu::ComputePipeline, wgpu::BindGroupLayout),
    /// None where the device cannot store this format.
    store: Option<(wgpu::ComputePipeline, wgpu::BindGroupLayout)>,
    /// None where the device cannot draw it.
    draw: Option<(wgpu::RenderPipeline, wgpu::BindGroupLayout)>,
    /// How the parameters lie.
    entry: Entry,
}

/// The ways in which a host's texture can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// As a colour target.
    Draw,
    /// As a storage texture.
    Store,
}

impl TextureKernels {
    /// Tells whether textures of the format can be written so.
    pub fn writes(&self, output: Output) -> bool {
        match output {
            Output::Draw => self.draw.is_some(),
            Output::Store => self.store.is_some(),
        }
    }

    /// The bytes of a slab's parameters, by their names in the shaders.
    pub fn encode(&self, params: &[(&'static str, Param)]) -> Vec<u8> {
        let mut bytes = self.entry.encode("texture_load.load", params);
        bytes.resize(PARAMS_STRIDE, 0);
        bytes
    }

    /// Begins a run: one bind group for each slab's (parameters, planes).
    ///
    /// # Errors
    /// [`crate::Error::Gpu`] where the view is none of a two-dimensional texture of floating-point values with the usage
    /// `TEXTURE_BINDING`.
    pub fn bind_load<'a>(
        &self,
        gpu: &Gpu,
        from: &wgpu::TextureView,
        slabs: impl Iterator<Item = (&'a Slice, &'a Slice)>,
    ) -> Result<Vec<wgpu::BindGroup>> {
        let bind = |(params, planes)| {
            let entries = [buffer(1, params), view(2, from), buffer(4, planes)];
            group(gpu, &self.load.1, &entries)
        };
        gpu.checked_now("the texture that is read", || slabs.map(bind).collect())
    }

    /// Ends a run, in the same way.
    ///
    /// # Errors
    /// As [`TextureKernels::bind_load`], and where `to` is not of the format, or not with the usage that `output` takes.
    /// Panics where [`TextureKernels::writes`] says no.
    pub fn bind_output<'a>(
        &self,
        gpu: &Gpu,
        [from, to]: [&wgpu::TextureView; 2],
        output: Output,
        slabs: impl Iterator<Item = (&'a Slice, &'a Slice)>,
    ) -> Result<Vec<wgpu::BindGroup>> {
        let bind = |(params, planes)| {
            let entries = [buffer(1, params), view(2, from), buffer(3, planes), view(5, to)];
            match output {
                Output::Draw => group(gpu, &self.draw.as_ref().expect("the format can be drawn").1, &entries[..3]),
                Output::Store => group(gpu, &self.store.as_ref().expect("the format can be stored").1, &entries),
            }
        };
        gpu.checked_now("the texture that is written", || slabs.map(bind).collect())
    }

    /// Reads a slab of `size` (columns, rows).
    pub fn load(&self, pass: &mut wgpu::ComputePass, bindings: &wgpu::BindGroup, size: [u32; 2]) {
        dispatch(pass, &self.load.0, bindings, size);
    }

    /// Stores a slab of `size` (columns, rows).
    pub fn store(&self, pass: &mut wgpu::ComputePass, bindings: &wgpu::BindGroup, size: [u32; 2]) {
        dispatch(pass, &self.store.as_ref().expect("the format can be stored").0, bindings, size);
    }

    /// Draws a slab, the rows that the pass's scissor leaves.
    pub fn draw(&self, pass: &mut wgpu::RenderPass, bindings: &wgpu::BindGroup) {
        pass.set_pipeline(&self.draw.as_ref().expect("the format can be drawn").0);
        pass.set_bind_group(0, bindings, &[]);
        pass.draw(0..3, 0..1);
    }
}

fn dispatch(
    pass: &mut wgpu::ComputePass,
    pipeline: &wgpu::ComputePipeline,
    bindings: &wgpu::BindGroup,
    size: [u32; 2],
) {
    pass.set_pipeline(pipeline);
    pass.set_bind_group(0, bindings, &[]);
    pass.dispatch_workgroups(size[0].div_ceil(8), size[1].div_ceil(8), 1);
}

fn buffer(binding: u32, slice: &Slice) -> wgpu::BindGroupEntry<'_> {
    let (offset, size) = (slice.offset, wgpu::BufferSize::new(slice.size));
    let resource = wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer: slice.buffer.raw(), offset, size });
    wgpu::BindGroupEntry { binding, resource }
}

fn view(binding: u32, view: &wgpu::TextureView) -> wgpu::BindGroupEntry<'_> {
    wgpu::BindGroupEntry { binding, resource: wgpu::BindingResource::TextureView(view) }
}

fn group(gpu: &Gpu, layout: &wgpu::BindGroupLayout, entries: &[wgpu::BindGroupEntry]) -> wgpu::BindGroup {
    gpu.device.create_bind_group(&wgpu::BindGroupDescriptor { label: Some("sasnet texture"), layout, entries })
}

impl Gpu {
    /// Compiles the kernels for textures that are written in `format`, once for each.
    ///
    /// # Errors
    /// [`crate::Error::Gpu`] where the device fails.
    pub async fn texture_kernels_async(&self, format: TextureFormat) -> Result<Arc<TextureKernels>> {
        if let Some(kernels) = self.compiled.textures.lock().unwrap().get(&format) {
            return Ok(kernels.clone());
        }
        let build = || Arc::new(self.build_texture_kernels(format));
        let kernels = self.checked(|| format!("kernels for textures of {format:?}"), build).await?;
        self.compiled.textures.lock().unwrap().insert(format, kernels.clone());
        Ok(kernels)
    }

    fn build_texture_kernels(&self, format: TextureFormat) -> TextureKernels {
        use wgpu::{BufferBindingType::*, ShaderStages as Stages, TextureUsages as Usages};
        let module = |shader: &'static Shader, change: &dyn Fn(String) -> String| {
            let source = wgpu::ShaderSource::Wgsl(change(self.source(shader, false)).into());
            self.device.create_shader_module(wgpu::ShaderModuleDescriptor { label: Some(shader.stem), source })
        };
        let as_is = |text| text;
        let allowed = format.guaranteed_format_features(self.device.features()).allowed_usages;
        let entry = Reflection::of(&LOAD, false).entries["load"].clone();

        let params = (1, slot(Uniform));
        let source = wgpu::BindingType::Texture {
            sample_type: wgpu::TextureSampleType::Float { filterable: false },
            view_dimension: wgpu::TextureViewDimension::D2,
            multisampled: false,
        };
        let (source, planes) = ((2, source), (3, slot(Storage { read_only: true })));
        let compute =
            |shader: &'static Shader, change: &dyn Fn(String) -> String, slots: &[(u32, wgpu::BindingType)]| {
                let (layout, pipeline_layout) = self.texture_layout(Stages::COMPUTE, slots);
                let pipeline = self.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                    label: Some(shader.stem),
                    layout: Some(&pipeline_layout),
                    module: &module(shader, change),
                    entry_point: None,
                    compilation_options: Default::default(),
                    cache: self.cache.as_ref().map(super::cache::Cache::raw),
                });
                (pipeline, layout)
            };
        let load = compute(&LOAD, &as_is, &[params, source, (4, slot(Storage { read_only: false }))]);
        let store = storage_name(format).filter(|_| allowed.contains(Usages::STORAGE_BINDING)).map(|name| {
            let target = wgpu::BindingType::StorageTexture {
                access: wgpu::StorageTextureAccess::WriteOnly,
                format,
                view_dimension: wgpu::TextureViewDimension::D2,
            };
            compute(&STORE, &|text| text.replace(STORED, name), &[params, source, planes, (5, target)])
        });
        let draw = allowed.contains(Usages::RENDER_ATTACHMENT).then(|| {
            let (layout, pipeline_layout) = self.texture_layout(Stages::FRAGMENT, &[params, source, planes]);
            let module = module(&DRAW, &as_is);
            let pipeline = self.device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
                label: Some(DRAW.stem),
                layout: Some(&pipeline_layout),
                vertex: wgpu::VertexState {
                    module: &module,
                    entry_point: None,
                    compilation_options: Default::default(),
                    buffers: &[],
                },
                fragment: Some(wgpu::FragmentState {
                    module: &module,
                    entry_point: None,
                    compilation_options: Default::default(),
                    targets: &[Some(format.into())],
                }),
                primitive: Default::default(),
                depth_stencil: None,
                multisample: Default::default(),
                multiview_mask: None,
                cache: self.cache.as_ref().map(super::cache::Cache::raw),
            });
            (pipeline, layout)
        });
        TextureKernels { load, store, draw, entry }
    }

    fn texture_layout(
        &self,
        visibility: wgpu::ShaderStages,
        slots: &[(u32, wgpu::BindingType)],
    ) -> (wgpu::BindGroupLayout, wgpu::PipelineLayout) {
        let entry = |&(binding, ty)| wgpu::BindGroupLayoutEntry { binding, visibility, ty, count: None };
        let entries: Vec<_> = slots.iter().map(entry).collect();
        let label = Some("sasnet texture");
        let descriptor = wgpu::BindGroupLayoutDescriptor { label, entries: &entries };
        let layout = self.device.create_bind_group_layout(&descriptor);
        let pipeline_layout = self.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label,
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
        });
        (layout, pipeline_layout)
    }

    /// Makes the buffer for the parameters of so many slabs, and the slice of each.
    pub(crate) async fn texture_params_async(&self, slabs: usize) -> Result<(Buffer, Vec<Slice>)> {
        let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
        let stride = PARAMS_STRIDE as u64;
        let buffer = self.counted_buffer("slabs of textures", slabs as u64 * stride, usage).await?;
        let slice = |i| Slice { buffer: buffer.clone(), offset: i * stride, size: stride };
        let slices = (0..slabs as u64).map(slice).collect();
        Ok((buffer, slices))
    }
}

fn slot(ty: wgpu::BufferBindingType) -> wgpu::BindingType {
    wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None }
}
