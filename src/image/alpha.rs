//! Transparency: colours that nobody sees, and those that were multiplied by it.

use crate::tensor::Tensor;

/// Gives pixels of alpha 0 the mean colour of their visible neighbours, from the edge of what is visible inwards: a
/// network would let what is hidden there bleed into what is not. A picture without a visible pixel stays as it is.
pub(super) fn fill_hidden(tensor: &mut Tensor, alpha: &[f32]) {
    let (h, w, plane) = (tensor.shape.h, tensor.shape.w, tensor.shape.plane());
    let mut known: Vec<bool> = alpha.iter().map(|&a| a > 0.0).collect();
    if known.iter().all(|&k| k) || !known.iter().any(|&k| k) {
        return;
    }
    let neighbours = |i: usize| {
        let (y, x) = (i / w, i % w);
        let (ys, xs) = (y.saturating_sub(1)..(y + 2).min(h), x.saturating_sub(1)..(x + 2).min(w));
        ys.flat_map(move |y| xs.clone().map(move |x| y * w + x)).filter(move |&j| j != i)
    };
    let unknown_beside = |known: &[bool], of: &mut dyn Iterator<Item = usize>| {
        let mut found: Vec<usize> = of.flat_map(neighbours).filter(|&j| !known[j]).collect();
        found.sort_unstable();
        found.dedup();
        found
    };
    let mut wave = unknown_beside(&known, &mut (0..plane).filter(|&i| known[i]));
    while !wave.is_empty() {
        for &i in &wave {
            let sources: Vec<usize> = neighbours(i).filter(|&j| known[j]).collect();
            for channel in tensor.data.chunks_exact_mut(plane) {
                channel[i] = sources.iter().map(|&j| channel[j]).sum::<f32>() / sources.len() as f32;
            }
        }
        wave.iter().for_each(|&i| known[i] = true);
        wave = unknown_beside(&known, &mut wave.iter().copied());
    }
}

/// Divides colours by the alpha that they were multiplied by; where it is 0 nothing is known, and they stay.
pub(super) fn unmultiply(tensor: &mut Tensor, alpha: &[f32]) {
    for channel in tensor.data.chunks_exact_mut(alpha.len()) {
        channel.iter_mut().zip(alpha).filter(|(_, a)| **a > 0.0).for_each(|(v, a)| *v /= a);
    }
}

/// Lays the picture over a colour.
pub(super) fn flatten(tensor: &mut Tensor, alpha: &[f32], background: [f32; 3]) {
    for (channel, behind) in tensor.data.chunks_exact_mut(alpha.len()).zip(background) {
        channel.iter_mut().zip(alpha).for_each(|(v, a)| *v = behind + (*v - behind) * a);
    }
}
