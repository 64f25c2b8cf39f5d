//! Strided matrix products through the `gemm` crate. The one place with `unsafe`.
//!
//! Parallelism is left to the callers where they split batches; large products of their own are
//! shared by all threads.

/// A strided matrix inside a slice: element (i, j) is at `row * i + col * j`. Rows may overlap,
/// which is how windows of a signal become a matrix without a copy.
#[derive(Clone, Copy)]
pub(crate) struct Mat<'a> {
    data: &'a [f32],
    row: usize,
    col: usize,
}

impl<'a> Mat<'a> {
    /// Matrix with the given steps between rows and between columns.
    pub(crate) fn new(data: &'a [f32], row: usize, col: usize) -> Self {
        Self { data, row, col }
    }

    /// The transpose.
    pub(crate) fn t(self) -> Self {
        Self {
            data: self.data,
            row: self.col,
            col: self.row,
        }
    }

    fn holds(&self, rows: usize, cols: usize) -> bool {
        rows == 0
            || cols == 0
            || (rows - 1)
                .checked_mul(self.row)
                .zip((cols - 1).checked_mul(self.col))
                .and_then(|(r, c)| r.checked_add(c))
                .is_some_and(|last| last < self.data.len())
    }
}

/// `c` ← `c`·keep + `scale`·`a`·`b` with `a` m × k, `b` k × n and `c` m × n, row-major with
/// `stride` between rows. `keep` is whether the old `c` is added to.
///
/// # Panics
/// When a matrix reaches beyond its slice: that is a mistake of the caller, never of the data.
pub(crate) fn matmul(
    (m, k, n): (usize, usize, usize),
    scale: f32,
    a: Mat<'_>,
    b: Mat<'_>,
    keep: bool,
    c: &mut [f32],
    stride: usize,
) {
    product(
        (m, k, n),
        scale,
        a,
        b,
        keep,
        (c, stride),
        gemm::Parallelism::None,
    );
}

/// [`matmul`] of row-major `c` without gaps on all threads of the pool. Threads share rows and columns
/// and never a sum, so their number changes no bit.
pub(crate) fn matmul_shared(
    size: (usize, usize, usize),
    a: Mat<'_>,
    b: Mat<'_>,
    keep: bool,
    c: &mut [f32],
) {
    let threads = gemm::Parallelism::Rayon(0);
    product(size, 1.0, a, b, keep, (c, size.2), threads);
}

fn product(
    (m, k, n): (usize, usize, usize),
    scale: f32,
    a: Mat<'_>,
    b: Mat<'_>,
    keep: bool,
    (c, stride): (&mut [f32], usize),
    threads: gemm::Parallelism,
) {
    if m == 0 || n == 0 {
        return;
    }
    assert!(a.holds(m, k) && b.holds(k, n), "matrix beyond its slice");
    assert!(
        stride >= n && (m - 1) * stride + n <= c.len(),
        "result beyond its slice"
    );
    // SAFETY: all elements read lie inside `a.data` and `b.data`, all elements written lie inside
    // `c` and are distinct (stride >= n), by the assertions above. `c` is borrowed exclusively,
    // so it overlaps neither operand. Strides fit in isize because the slices exist.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            c.as_mut_ptr(),
            1,
            stride as isize,
            keep,
            a.data.as_ptr(),
            a.col as isize,
            a.row as isize,
            b.data.as_ptr(),
            b.col as isize,
            b.row as isize,
            1.0,
            scale,
            false,
            false,
            false,
            threads,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_without_a_copy() {
        let x: Vec<f32> = (0..12).map(|v| v as f32).collect();
        let w = [1.0, -1.0, 0.5, 2.0, 0.0, 1.0];
        // Two filters of three taps over windows at every second sample.
        let mut y = vec![100.0; 10];
        matmul(
            (2, 3, 5),
            1.0,
            Mat::new(&w, 3, 1),
            Mat::new(&x, 1, 2),
            false,
            &mut y,
            5,
        );
        for t in 0..5 {
            let s = &x[2 * t..2 * t + 3];
            assert_eq!(y[t], s[0] - s[1] + 0.5 * s[2]);
            assert_eq!(y[5 + t], 2.0 * s[0] + s[2]);
        }
        let before = y.clone();
        matmul(
            (2, 3, 5),
            2.0,
            Mat::new(&w, 3, 1),
            Mat::new(&x, 1, 2),
            true,
            &mut y,
            5,
        );
        for (a, b) in y.iter().zip(before) {
            assert_eq!(*a, 3.0 * b);
        }
    }

    #[test]
    #[should_panic(expected = "beyond")]
    fn a_matrix_beyond_its_slice_is_refused() {
        matmul(
            (2, 2, 2),
            1.0,
            Mat::new(&[0.0; 3], 2, 1),
            Mat::new(&[0.0; 4], 2, 1),
            false,
            &mut [0.0; 4],
            2,
        );
    }
}
