//! A walk through all of a tree, for the tests that damage files.

use mmpipe_trees::{Class, Tree, Var};

/// Everything in a tree: fields, cells, numbers, texts. Gives how many leaves were read and the
/// codes of the errors met.
pub(crate) fn read_all(tree: &dyn Tree) -> (usize, Vec<&'static str>) {
    let (mut leaves, mut codes) = (0, Vec::new());
    let mut open: Vec<(Var, usize)> = tree.variables().into_iter().map(|v| (v, 0)).collect();
    while let Some((var, depth)) = open.pop() {
        if depth > 70 || leaves > 5000 {
            break;
        }
        let n = var.len().min(200);
        leaves += 1;
        match var.class {
            Class::Struct | Class::Table => {
                for i in 0..n {
                    for name in var.fields.iter().take(50) {
                        match tree.field(&var, i, name) {
                            Ok(found) => open.extend(found.map(|v| (v, depth + 1))),
                            Err(e) => codes.push(e.code()),
                        }
                    }
                }
            }
            Class::Cell => {
                for i in 0..n {
                    match tree.cell(&var, i) {
                        Ok(found) => open.push((found, depth + 1)),
                        Err(e) => codes.push(e.code()),
                    }
                }
            }
            Class::Char | Class::Text => {
                if let Err(e) = tree.texts(&var) {
                    codes.push(e.code());
                }
            }
            _ => {}
        }
        if var.class.is_numeric() {
            let mut out = vec![0.0; n as usize];
            let read = tree
                .read_f64(&var, &[0], 1, &mut [&mut out])
                .and_then(|()| tree.read_imaginary(&var, &[var.len() - n], 1, &mut [&mut out]));
            if let Err(e) = read {
                codes.push(e.code());
            }
        }
    }
    (leaves, codes)
}
