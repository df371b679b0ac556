//! Compiled kernels on disk, where the backend hands them out (Vulkan): the next start need not compile them again.
//!
//! One file an adapter, in the folder that the program gives ([`super::GpuOptions::cache`]). Drivers of desktops keep
//! such files themselves, so that little is gained there: on Mesa's lavapipe, which puts nothing but a header into
//! ours, the first picture takes 1.4 s with or without it, and 0.4 s with Mesa's own. It is for those that do not, as
//! on phones. A file that is not whole, or of another driver, is as good as none, and failures to write are only
//! logged.

use crate::digest::{EMPTY, fnv1a};
use crate::error::{Error, Result};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// In front of the data, with their [`checksum`]: drivers need not survive data that they have not written.
const MAGIC: &[u8; 8] = b"sasnet 1";
/// A file larger than this is begun anew: nothing ever leaves it.
const MOST: usize = 64 << 20;

/// The compiled kernels of a device.
pub(super) struct Cache {
    raw: wgpu::PipelineCache,
    /// None for a host's, which it keeps itself.
    path: Option<PathBuf>,
    /// Something was compiled since the file was read or written.
    grown: AtomicBool,
}

impl Cache {
    /// Opens a device's cache in a folder, if there can be one.
    pub(super) fn open(device: &wgpu::Device, info: &wgpu::AdapterInfo, folder: &Path) -> Option<Cache> {
        if !device.features().contains(wgpu::Features::PIPELINE_CACHE) {
            return None;
        }
        // Mesa's lavapipe compiles for vectors of the length that its environment asks for.
        let name = format!("{}_{}", wgpu::util::pipeline_cache_key(info)?, info.subgroup_max_size);
        let path = folder.join(name);
        let data = read(&path);
        let descriptor = wgpu::PipelineCacheDescriptor { label: Some("sasnet"), data: data.as_deref(), fallback: true };
        // SAFETY: the data come from `PipelineCache::get_data` by way of a file that says it is ours and is whole.
        let raw = unsafe { device.create_pipeline_cache(&descriptor) };
        Some(Cache { raw, path: Some(path), grown: AtomicBool::new(false) })
    }

    /// A host's own.
    pub(super) fn of_host(raw: wgpu::PipelineCache) -> Cache {
        Cache { raw, path: None, grown: AtomicBool::new(false) }
    }

    /// For a pipeline that is about to be compiled.
    pub(super) fn raw(&self) -> &wgpu::PipelineCache {
        self.grown.store(true, Ordering::Relaxed);
        &self.raw
    }

    /// Writes what was compiled.
    pub(super) fn store(&self) {
        let Some(path) = &self.path else { return };
        if !self.grown.swap(false, Ordering::Relaxed) {
            return;
        }
        let Some(data) = self.raw.get_data() else { return };
        if let Err(error) = write(path, &data) {
            log::info!("compiled kernels are not kept: {error}");
        }
    }
}

fn checksum(data: &[u8]) -> [u8; 8] {
    fnv1a(EMPTY, data).to_le_bytes()
}

/// The data of a file, if it is whole and ours.
fn read(path: &Path) -> Option<Vec<u8>> {
    let mut data = std::fs::read(path).ok()?;
    let header: Vec<u8> = data.drain(..data.len().min(16)).collect();
    let ours = header.len() == 16 && header[..8] == *MAGIC && header[8..] == checksum(&data);
    (ours && data.len() <= MOST).then_some(data)
}

/// Writes a file that [`read`] takes. One that is cut short, or written by two at once, is not.
fn write(path: &Path, data: &[u8]) -> Result<()> {
    let folder = path.parent().expect("the file is in a folder");
    std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
    std::fs::write(path, [&MAGIC[..], &checksum(data), data].concat()).map_err(Error::io(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_files_of_ours_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new folder/cache");
        assert_eq!(read(&path), None);
        let data: Vec<u8> = (0..1000).map(|i| i as u8).collect();
        write(&path, &data).unwrap();
        assert_eq!(read(&path), Some(data));
        let whole = std::fs::read(&path).unwrap();
        let mut flipped = whole.clone();
        flipped[500] ^= 1;
        for wrong in [&whole[..0], &whole[..15], &whole[..999], &flipped, &whole[16..]] {
            std::fs::write(&path, wrong).unwrap();
            assert_eq!(read(&path), None);
        }
    }
}
