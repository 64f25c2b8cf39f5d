//! How much of the learning rate a layer gets: the deeper (nearer to the input), the less.
//!
//! Layer-wise decay as BEiT has it (Bao et al. 2022, arXiv:2106.08254), which LaBraM's fine-tuning
//! takes over: with `n` blocks, what comes before them is layer 0, block `i` is layer `i + 1`,
//! what comes after them is layer `n + 1`, and layer `l` gets `decay^(n + 1 - l)`.

use mmpipe_models::Params;

/// The share of each trainable variable, in the order of the parameters. All 1 for a network
/// without blocks.
pub(crate) fn shares(params: &Params, decay: f64) -> Vec<f64> {
    let blocks: Vec<Option<u32>> = params.trainable().map(|p| block(&p.name)).collect();
    let Some(last) = blocks.iter().flatten().max() else {
        return vec![1.0; blocks.len()];
    };
    let top = last + 2;
    let mut layer = 0;
    blocks
        .into_iter()
        .map(|block| {
            match block {
                Some(i) => layer = i + 1,
                // Behind the first block that was met, whatever is in none comes after them.
                None if layer > 0 => layer = top,
                None => {}
            }
            decay.powi((top - layer) as i32)
        })
        .collect()
}

/// The number behind `blocks.` in a name such as `encoder.blocks.11.attn.qkv.weight`.
fn block(name: &str) -> Option<u32> {
    let mut parts = name.split('.');
    parts.find(|part| *part == "blocks")?;
    parts.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;
    use mmpipe_models::Init;

    fn of(names: &[&str], decay: f64) -> Vec<f64> {
        let mut params = Params::new(0, &Device::Cpu);
        for name in names {
            params.weight(name, 2, Init::Const(0.0)).unwrap();
        }
        shares(&params, decay)
    }

    #[test]
    fn halves_from_layer_to_layer() {
        let names = [
            "cls_token",
            "patch_embed.conv1.weight",
            "blocks.0.attn.qkv.weight",
            "blocks.0.norm1.weight",
            "blocks.1.attn.qkv.weight",
            "fc_norm.weight",
            "head.weight",
        ];
        assert_eq!(of(&names, 0.5), [0.125, 0.125, 0.25, 0.25, 0.5, 1.0, 1.0]);
        assert_eq!(of(&names, 1.0), [1.0; 7]);
    }

    #[test]
    fn a_network_without_blocks_learns_everywhere_alike() {
        assert_eq!(of(&["conv.weight", "blocksize.3.weight"], 0.5), [1.0, 1.0]);
    }
}
