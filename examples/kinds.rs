//! A sheet of every kind of structure and texture that the generator knows, a row each:
//! `cargo run --release --example kinds -- structures.png textures.png`

use sasnet::image;
use sasnet::lab::dataset::synthetic::{structure, texture};
use sasnet::low_level::rng::Rng;
use sasnet::low_level::tensor::{Shape, Tensor};

const SIZE: usize = 128;
const COLUMNS: usize = 10;

fn sheet(rows: usize, cell: impl Fn(usize, &mut Rng) -> Vec<f32>) -> Tensor {
    let (h, w) = (rows * SIZE, COLUMNS * SIZE);
    let mut sheet = Tensor::zeros(Shape::new(1, 3, h, w));
    for (row, column) in (0..rows).flat_map(|row| (0..COLUMNS).map(move |column| (row, column))) {
        let picture = cell(row, &mut Rng::new(&[row as u64, column as u64]));
        for (i, line) in picture.chunks_exact(SIZE).enumerate() {
            let (c, y) = (i / SIZE, row * SIZE + i % SIZE);
            sheet.data[(c * h + y) * w + column * SIZE..][..SIZE].copy_from_slice(line);
        }
    }
    sheet
}

fn main() -> sasnet::Result<()> {
    let files: Vec<String> = std::env::args().skip(1).collect();
    let [structures, textures] = &files[..] else { panic!("give two files to write") };
    let kinds = structure::KINDS;
    image::write(structures, &sheet(kinds.len(), |row, rng| structure::of_kind(rng, SIZE, &kinds[row])).into())?;
    let visible = |texture: Vec<f32>| texture.iter().map(|v| 0.5 + 0.18 * v).collect();
    let kinds = texture::KINDS;
    image::write(textures, &sheet(kinds.len(), |row, rng| visible(texture::of_kind(rng, SIZE, &kinds[row]))).into())
}
