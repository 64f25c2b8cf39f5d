//! Opens a file of named arrays and reads every number in it into one block that is used again,
//! for the comparisons in `tests/peers`. A matrix is read as an ingest reads it, its shorter
//! dimension as lanes. Usage: `tree_read FILE [PASSES]`; prints one JSON line: wall and CPU seconds
//! of every pass (opening and reading), how many numbers, and their sum, which says that both
//! sides of a comparison read the same.

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use mmpipe_trees::{Class, Container, Tree, Var};

/// Numbers that are read at once, and lanes.
const BLOCK: u64 = 1 << 16;
const LANES: u64 = 64;

/// Numbers, their sum, and the seconds of adding them up, which are not counted.
#[derive(Default)]
struct Found {
    numbers: u64,
    sum: f64,
    adding: f64,
    adding_cpu: f64,
}

impl Found {
    fn add(&mut self, block: &[f64]) {
        let (t, before) = (Instant::now(), cpu());
        self.sum += block.iter().sum::<f64>();
        self.numbers += block.len() as u64;
        self.adding += t.elapsed().as_secs_f64();
        self.adding_cpu += cpu() - before;
    }
}

fn numbers(
    tree: &dyn Tree,
    var: &Var,
    block: &mut [f64],
    found: &mut Found,
) -> Result<(), Box<dyn Error>> {
    // Lanes, their length, and the steps from one to the next and within one.
    let (lanes, length, next, stride) = match var.dims[..] {
        [rows, columns] if rows <= columns => (rows, columns, 1, rows),
        [rows, columns] => (columns, rows, rows, 1),
        _ => (1, var.len(), 0, 1),
    };
    for lane in (0..lanes).step_by(LANES as usize) {
        let lanes = LANES.min(lanes - lane);
        let most = BLOCK / lanes;
        for at in (0..length).step_by(most as usize) {
            let n = most.min(length - at) as usize;
            let block = &mut block[..n * lanes as usize];
            let mut out: Vec<&mut [f64]> = block.chunks_exact_mut(n).collect();
            let first: Vec<u64> = (lane..lane + lanes)
                .map(|k| k * next + at * stride)
                .collect();
            tree.read_f64(var, &first, stride, &mut out)?;
            found.add(block);
        }
    }
    Ok(())
}

fn read(
    tree: &dyn Tree,
    var: &Var,
    block: &mut [f64],
    found: &mut Found,
) -> Result<(), Box<dyn Error>> {
    match var.class {
        Class::Struct | Class::Table => {
            for element in 0..var.len() {
                for field in &var.fields {
                    if let Some(next) = tree.field(var, element, field)? {
                        read(tree, &next, block, found)?;
                    }
                }
            }
        }
        Class::Cell => {
            for element in 0..var.len() {
                read(tree, &tree.cell(var, element)?, block, found)?;
            }
        }
        Class::Char => {}
        class if class.is_numeric() => numbers(tree, var, block, found)?,
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
    let mut block = vec![0.0; BLOCK as usize];
    let (mut seconds, mut busy, mut found) = (Vec::new(), Vec::new(), Found::default());
    for _ in 0..passes.max(1) {
        found = Found::default();
        let (t, before) = (Instant::now(), cpu());
        let tree = mmpipe_trees::open(Path::new(&path))?;
        // Of a table the whole, not its columns once more.
        let table = tree.container() == Container::Csv;
        let variables = tree.variables();
        for var in variables.iter().filter(|v| !table || v.place == "table") {
            read(&*tree, var, &mut block, &mut found)?;
        }
        drop(tree);
        seconds.push(t.elapsed().as_secs_f64() - found.adding);
        busy.push(cpu() - before - found.adding_cpu);
    }
    let Found { numbers, sum, .. } = found;
    println!("{{\"seconds\":{seconds:?},\"cpu\":{busy:?},\"numbers\":{numbers},\"sum\":{sum:e}}}");
    Ok(())
}
