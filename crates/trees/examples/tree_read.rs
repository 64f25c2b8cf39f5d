//! Opens a file of named arrays and reads every number in it into one block that is used again,
//! for the comparisons in `tests/peers`. A matrix is read as an ingest reads it, its shorter
//! dimension as lanes. Usage: `tree_read FILE [PASSES [LANES SAMPLES]]`, the last two what is read
//! at once; prints one JSON line: wall and CPU seconds of every pass (opening and reading), how
//! many numbers, and their sum, which says that both sides of a comparison read the same.

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use mmpipe_trees::{Class, Container, Tree, Var};

/// What is read at once: so many lanes, and of each so many samples.
struct Block {
    lanes: u64,
    samples: Option<u64>,
}

/// Numbers of a block whose samples are not given.
const NUMBERS: u64 = 1 << 16;

/// Numbers, and their sum where it is wanted.
#[derive(Default)]
struct Found {
    numbers: u64,
    sum: Option<f64>,
    block: Vec<f64>,
}

fn numbers(
    tree: &dyn Tree,
    var: &Var,
    at_once: &Block,
    found: &mut Found,
) -> Result<(), Box<dyn Error>> {
    // Lanes, their length, and the steps from one to the next and within one.
    let (lanes, length, next, stride) = match var.dims[..] {
        [rows, columns] if rows <= columns => (rows, columns, 1, rows),
        [rows, columns] => (columns, rows, rows, 1),
        _ => (1, var.len(), 0, 1),
    };
    for lane in (0..lanes).step_by(at_once.lanes as usize) {
        let lanes = at_once.lanes.min(lanes - lane);
        let most = at_once.samples.unwrap_or(NUMBERS / lanes).max(1);
        for at in (0..length).step_by(most as usize) {
            let n = most.min(length - at) as usize;
            let mut block = std::mem::take(&mut found.block);
            block.resize(n * lanes as usize, 0.0);
            let mut out: Vec<&mut [f64]> = block.chunks_exact_mut(n).collect();
            let first: Vec<u64> = (lane..lane + lanes)
                .map(|k| k * next + at * stride)
                .collect();
            tree.read_f64(var, &first, stride, &mut out)?;
            found.numbers += block.len() as u64;
            if let Some(sum) = &mut found.sum {
                *sum += block.iter().sum::<f64>();
            }
            found.block = block;
        }
    }
    Ok(())
}

fn read(
    tree: &dyn Tree,
    var: &Var,
    at_once: &Block,
    found: &mut Found,
) -> Result<(), Box<dyn Error>> {
    match var.class {
        Class::Struct | Class::Table => {
            for element in 0..var.len() {
                for field in &var.fields {
                    if let Some(next) = tree.field(var, element, field)? {
                        read(tree, &next, at_once, found)?;
                    }
                }
            }
        }
        Class::Cell => {
            for element in 0..var.len() {
                read(tree, &tree.cell(var, element)?, at_once, found)?;
            }
        }
        Class::Char => {}
        class if class.is_numeric() => numbers(tree, var, at_once, found)?,
        _ => {}
    }
    Ok(())
}

/// Seconds that this thread has had a processor; NaN where the system does not say.
fn cpu() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = text.split_whitespace().next().unwrap_or_default();
    nanoseconds.parse::<f64>().map_or(f64::NAN, |n| n / 1e9)
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let path = args.next().ok_or("usage: tree_read FILE [PASSES]")?;
    let passes: usize = args.next().map_or(Ok(2), |n| n.parse())?;
    let lanes = args.next().map_or(Ok(64), |n| n.parse::<u64>())?;
    let samples = args.next().map(|n| n.parse()).transpose()?;
    let at_once = Block {
        lanes: lanes.max(1),
        samples,
    };
    let (mut seconds, mut busy, mut found) = (Vec::new(), Vec::new(), Found::default());
    // Once more for the sum, which is not counted.
    for pass in 0..=passes {
        found.numbers = 0;
        found.sum = (pass == passes).then_some(0.0);
        let (t, before) = (Instant::now(), cpu());
        let tree = mmpipe_trees::open(Path::new(&path))?;
        // Of a table the whole, not its columns once more.
        let table = tree.container() == Container::Csv;
        let variables = tree.variables();
        for var in variables.iter().filter(|v| !table || v.place == "table") {
            read(&*tree, var, &at_once, &mut found)?;
        }
        drop(tree);
        if found.sum.is_none() {
            seconds.push(t.elapsed().as_secs_f64());
            busy.push(cpu() - before);
        }
    }
    let (numbers, sum) = (found.numbers, found.sum.unwrap_or_default());
    println!("{{\"seconds\":{seconds:?},\"cpu\":{busy:?},\"numbers\":{numbers},\"sum\":{sum:e}}}");
    Ok(())
}
