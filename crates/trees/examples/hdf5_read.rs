//! Reads data set `x` (channels by time) of a file, 4 channels and 512 samples at a time, and
//! prints the seconds of opening and reading. See tests/peers/hdf5_read.py.

use std::error::Error;
use std::path::Path;
use std::time::Instant;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("expected a file")?;
    let start = Instant::now();
    let tree = mmpipe_trees::open(Path::new(&path))?;
    let var = mmpipe_trees::select(&*tree, "x")?.remove(0);
    let [channels, samples] = var.dims[..] else {
        return Err("expected channels by time".into());
    };
    let mut sum = 0.0;
    for channel in (0..channels).step_by(4) {
        let lanes = 4.min(channels - channel);
        for at in (0..samples).step_by(512) {
            let n = 512.min(samples - at) as usize;
            let mut block = vec![vec![0.0; n]; lanes as usize];
            let mut out: Vec<&mut [f64]> = block.iter_mut().map(Vec::as_mut_slice).collect();
            let first: Vec<u64> = (0..lanes).map(|k| channel + k + at * channels).collect();
            tree.read_f64(&var, &first, channels, &mut out)?;
            sum += block.iter().flatten().sum::<f64>();
        }
    }
    println!("{} {sum}", start.elapsed().as_secs_f64());
    Ok(())
}
