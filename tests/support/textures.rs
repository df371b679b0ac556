//! A host's textures: made, filled, read back.

use sasnet::low_level::gpu::Gpu;
use sasnet::wgpu::{self, TextureFormat};

pub struct Host<'a>(pub &'a Gpu);

impl Host<'_> {
    pub fn texture(
        &self,
        format: TextureFormat,
        [width, height]: [u32; 2],
        usage: wgpu::TextureUsages,
    ) -> wgpu::Texture {
        use wgpu::TextureUsages as U;
        self.0.device().create_texture(&wgpu::TextureDescriptor {
            label: None,
            size: wgpu::Extent3d { width, height, depth_or_array_layers: 1 },
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format,
            usage: usage | U::COPY_SRC | U::COPY_DST,
            view_formats: &[],
        })
    }

    /// Fills a texture with the bytes of its pixels.
    pub fn write(&self, texture: &wgpu::Texture, bytes: &[u8]) {
        let pixel = texture.format().block_copy_size(None).unwrap();
        let layout = wgpu::TexelCopyBufferLayout {
            offset: 0,
            bytes_per_row: Some(texture.width() * pixel),
            rows_per_image: None,
        };
        self.0.queue().write_texture(texture.as_image_copy(), bytes, layout, texture.size());
    }

    /// The bytes of a texture's pixels.
    pub fn read(&self, texture: &wgpu::Texture) -> Vec<u8> {
        let row = (texture.width() * texture.format().block_copy_size(None).unwrap()) as usize;
        let stride = row.next_multiple_of(256);
        let device = self.0.device();
        let buffer = device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: (stride * texture.height() as usize) as u64,
            usage: wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ,
            mapped_at_creation: false,
        });
        let mut encoder = device.create_command_encoder(&Default::default());
        let layout =
            wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(stride as u32), rows_per_image: None };
        let to = wgpu::TexelCopyBufferInfo { buffer: &buffer, layout };
        encoder.copy_texture_to_buffer(texture.as_image_copy(), to, texture.size());
        self.0.queue().submit([encoder.finish()]);
        buffer.map_async(wgpu::MapMode::Read, .., |result| result.unwrap());
        device.poll(wgpu::PollType::wait_indefinitely()).unwrap();
        let view = buffer.get_mapped_range(..).unwrap();
        view.chunks_exact(stride).flat_map(|line| line[..row].to_vec()).collect()
    }
}

/// What shaders read of the pixels' bytes, in f64: stored values, before the sRGB curve of `-srgb` formats is undone.
pub fn stored(format: TextureFormat, bytes: &[u8]) -> Vec<[f64; 4]> {
    use TextureFormat::*;
    let unit = |v: u8| f64::from(v) / 255.0;
    let half = |v: &[u8]| f64::from(half::f16::from_le_bytes([v[0], v[1]]));
    let float = |v: &[u8]| f64::from(f32::from_le_bytes([v[0], v[1], v[2], v[3]]));
    let pixels = bytes.chunks_exact(format.block_copy_size(None).unwrap() as usize);
    let pixel = |p: &[u8]| match format {
        R8Unorm => [unit(p[0]), 0.0, 0.0, 1.0],
        Rgba8Unorm | Rgba8UnormSrgb => [0, 1, 2, 3].map(|i| unit(p[i])),
        Bgra8Unorm | Bgra8UnormSrgb => [2, 1, 0, 3].map(|i| unit(p[i])),
        Rgb10a2Unorm => {
            let word = u32::from_le_bytes([p[0], p[1], p[2], p[3]]);
            let bits = |shift: u32| f64::from(word >> shift & 1023) / 1023.0;
            [bits(0), bits(10), bits(20), f64::from(word >> 30) / 3.0]
        }
        Rgba16Float => [0, 2, 4, 6].map(|i| half(&p[i..])),
        Rgba32Float => [0, 4, 8, 12].map(|i| float(&p[i..])),
        other => panic!("{other:?}"),
    };
    pixels.map(pixel).collect()
}

/// The bytes of pixels of these values; the inverse of [`stored`].
pub fn bytes(format: TextureFormat, pixels: &[[f64; 4]]) -> Vec<u8> {
    use TextureFormat::*;
    let unit = |v: f64| (v.clamp(0.0, 1.0) * 255.0).round() as u8;
    let pixel = |p: &[f64; 4]| match format {
        R8Unorm => vec![unit(p[0])],
        Rgba8Unorm | Rgba8UnormSrgb => p.map(unit).to_vec(),
        Bgra8Unorm | Bgra8UnormSrgb => [p[2], p[1], p[0], p[3]].map(unit).to_vec(),
        Rgb10a2Unorm => {
            let bits = |v: f64, most: f64| (v.clamp(0.0, 1.0) * most).round() as u32;
            let word = bits(p[0], 1023.0) | bits(p[1], 1023.0) << 10 | bits(p[2], 1023.0) << 20 | bits(p[3], 3.0) << 30;
            word.to_le_bytes().to_vec()
        }
        Rgba16Float => p.iter().flat_map(|v| half::f16::from_f64(*v).to_le_bytes()).collect(),
        Rgba32Float => p.iter().flat_map(|v| (*v as f32).to_le_bytes()).collect(),
        other => panic!("{other:?}"),
    };
    pixels.iter().flat_map(pixel).collect()
}

/// sRGB's curve: linear light of a code.
pub fn linear(code: f64) -> f64 {
    if code <= 0.04045 { code / 12.92 } else { ((code + 0.055) / 1.055).powf(2.4) }
}

/// The code of linear light.
pub fn code(linear: f64) -> f64 {
    if linear <= 0.0031308 { 12.92 * linear } else { 1.055 * linear.powf(1.0 / 2.4) - 0.055 }
}
