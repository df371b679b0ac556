//! A host on wgpu renders a scene into a texture of its own and has it smoothed into another one in the same frame, on the
//! GPU from end to end: `cargo run --release --example host_wgpu -- scene.png smooth.png`

use sasnet::embed::{Context, Frame, Network, Session, SessionOptions, requirements};
use sasnet::wgpu::{self, TextureFormat, TextureUsages as Usages};
use sasnet::{Precision, Result, Weights};
use std::time::Instant;

/// A scene under bricks and grain: a disc moves, and the grain is new in each frame.
const SCENE: &str = "
@group(0) @binding(0) var<uniform> time: vec4f;
@vertex fn corner(@builtin(vertex_index) i: u32) -> @builtin(position) vec4f {
    return vec4f(f32(i & 1u) * 4.0 - 1.0, f32(i >> 1u) * 4.0 - 1.0, 0.0, 1.0);
}
fn grain(p: vec2u) -> f32 {
    var h = p.x * 1664525u ^ p.y * 22695477u;
    h = (h ^ (h >> 15u)) * 2246822519u;
    return f32(h >> 16u) / 65535.0;
}
@fragment fn scene(@builtin(position) at: vec4f) -> @location(0) vec4f {
    let p = at.xy;
    let centre = vec2f(120.0 + 8.0 * time.x, 130.0);
    var c = mix(vec3f(0.1, 0.3, 0.7), vec3f(0.7, 0.4, 0.1), p.x / 512.0);
    if distance(p, centre) < 80.0 { c = vec3f(0.8, 0.1, 0.05); }
    if p.y > 220.0 { c = vec3f(0.05, 0.25, 0.05); }
    let brick = step(0.18, fract(p.x / 9.0)) * step(0.18, fract(p.y / 6.0));
    return vec4f(c * (0.65 + 0.25 * brick + 0.2 * grain(vec2u(p) + u32(time.x) * 7919u)), 1.0);
}";

/// A host: its device, its scene, its textures.
pub struct Host {
    /// Its device.
    pub device: wgpu::Device,
    /// And that one's queue.
    pub queue: wgpu::Queue,
    /// What it draws into.
    pub scene: wgpu::Texture,
    /// What the scene is smoothed into.
    pub smooth: wgpu::Texture,
    pipeline: wgpu::RenderPipeline,
    time: wgpu::Buffer,
    bindings: wgpu::BindGroup,
}

impl Host {
    /// Opens a device with what the network needs, and makes textures of these formats.
    pub fn new(size: [u32; 2], formats: [TextureFormat; 2]) -> Result<Host> {
        let descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
        let adapter = pollster::block_on(wgpu::Instance::new(descriptor).request_adapter(&Default::default()))
            .expect("there is an adapter");
        let needs = requirements(&adapter, Weights::builtin(), size, Precision::F32)?;
        let descriptor = wgpu::DeviceDescriptor {
            required_features: needs.features,
            required_limits: needs.limits,
            ..Default::default()
        };
        let (device, queue) = pollster::block_on(adapter.request_device(&descriptor)).expect("the device opens");
        let [scene, smooth] = formats.map(|format| {
            device.create_texture(&wgpu::TextureDescriptor {
                label: None,
                size: wgpu::Extent3d { width: size[0], height: size[1], depth_or_array_layers: 1 },
                mip_level_count: 1,
                sample_count: 1,
                dimension: wgpu::TextureDimension::D2,
                format,
                usage: Usages::RENDER_ATTACHMENT | Usages::TEXTURE_BINDING | Usages::COPY_SRC,
                view_formats: &[],
            })
        });
        let source = wgpu::ShaderSource::Wgsl(SCENE.into());
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor { label: None, source });
        let pipeline = device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
            label: Some("scene"),
            layout: None,
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
                targets: &[Some(scene.format().into())],
            }),
            primitive: Default::default(),
            depth_stencil: None,
            multisample: Default::default(),
            multiview_mask: None,
            cache: None,
        });
        let time = device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: 16,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let bindings = device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &pipeline.get_bind_group_layout(0),
            entries: &[wgpu::BindGroupEntry { binding: 0, resource: time.as_entire_binding() }],
        });
        Ok(Host { device, queue, scene, smooth, pipeline, time, bindings })
    }

    /// Draws the scene of frame `t`.
    pub fn draw(&self, encoder: &mut wgpu::CommandEncoder, t: u32) {
        self.queue.write_buffer(&self.time, 0, &(t as f32).to_le_bytes());
        let view = self.scene.create_view(&Default::default());
        let mut pass = encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
            color_attachments: &[Some(wgpu::RenderPassColorAttachment {
                view: &view,
                depth_slice: None,
                resolve_target: None,
                ops: Default::default(),
            })],
            ..Default::default()
        });
        pass.set_pipeline(&self.pipeline);
        pass.set_bind_group(0, &self.bindings, &[]);
        pass.draw(0..3, 0..1);
    }

    /// The bytes of a texture's pixels, for showing what came out: the frame itself needs no copy.
    pub fn read(&self, texture: &wgpu::Texture) -> Vec<u8> {
        let row = texture.width() * texture.format().block_copy_size(None).expect("a colour format");
        let stride = row.next_multiple_of(wgpu::COPY_BYTES_PER_ROW_ALIGNMENT);
        let buffer = self.device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: u64::from(stride * texture.height()),
            usage: wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ,
            mapped_at_creation: false,
        });
        let mut encoder = self.device.create_command_encoder(&Default::default());
        let layout = wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(stride), rows_per_image: None };
        let to = wgpu::TexelCopyBufferInfo { buffer: &buffer, layout };
        encoder.copy_texture_to_buffer(texture.as_image_copy(), to, texture.size());
        self.queue.submit([encoder.finish()]);
        buffer.map_async(wgpu::MapMode::Read, .., |result| result.expect("the buffer is mapped"));
        self.device.poll(wgpu::PollType::wait_indefinitely()).expect("the device works");
        let view = buffer.get_mapped_range(..).expect("it is mapped");
        view.chunks_exact(stride as usize).flat_map(|line| line[..row as usize].to_vec()).collect()
    }
}

/// All that a host writes for us: once at the start, and each time that its size changes ...
pub fn smoother(host: &Host) -> Result<Session> {
    let context = Context::new(&host.device, &host.queue, Default::default())?;
    let network = Network::new(&context, Weights::builtin())?;
    let size = [host.scene.width(), host.scene.height()];
    Session::new(&network, size, [host.scene.format(), host.smooth.format()], SessionOptions::default())
}

/// ... and in each frame.
pub fn frame(host: &Host, session: &mut Session, t: u32) -> Result<()> {
    let mut encoder = host.device.create_command_encoder(&Default::default());
    host.draw(&mut encoder, t);
    session.prepare(&Frame::default())?;
    let [from, to] = [&host.scene, &host.smooth].map(|texture| texture.create_view(&Default::default()));
    session.record(&mut encoder, &from, &to)?;
    host.queue.submit([encoder.finish()]);
    Ok(())
}

fn main() -> Result<()> {
    env_logger::init();
    let host = Host::new([513, 383], [TextureFormat::Rgba8UnormSrgb; 2])?;
    println!("{}", host.device.adapter_info().name);
    let start = Instant::now();
    let mut session = smoother(&host)?;
    println!("kernels and memory: {:.2} s, {:.1} MB", start.elapsed().as_secs_f64(), session.bytes() as f64 / 1e6);
    for t in 0..3 {
        let start = Instant::now();
        frame(&host, &mut session, t)?;
        let recorded = start.elapsed();
        host.device.poll(wgpu::PollType::wait_indefinitely()).expect("the device works");
        let [recorded, done] = [recorded, start.elapsed()].map(|time| time.as_secs_f64() * 1e3);
        println!("frame {t}: drawn, recorded and submitted in {recorded:.2} ms, done after {done:.1} ms");
    }
    for (path, texture) in std::env::args().skip(1).zip([&host.scene, &host.smooth]) {
        let pixels = host.read(texture);
        let shape = sasnet::Shape::new(1, 3, texture.height() as usize, texture.width() as usize);
        let codes = (0..3).flat_map(|c| pixels.chunks_exact(4).map(move |p| f32::from(p[c]) / 255.0)).collect();
        sasnet::image::write(&path, &sasnet::Picture::from(sasnet::Tensor::new(shape, codes)))?;
        println!("wrote {path}");
    }
    Ok(())
}
