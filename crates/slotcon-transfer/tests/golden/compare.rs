//! Networks filled by name, and comparison with what was recorded.

use libtest_mimic::Failed;
use safetensors::SafeTensors;
use slotcon_golden::{sym, values};
use slotcon_nn::{Role, Store};
use tch::{Kind, Tensor};

/// Differences that are spelt out.
const SHOWN: usize = 20;

/// Fills every parameter by the fixtures' rule; buffers stay at 0 and 1. `extra` multiplies tensors of two or more
/// dimensions, by name.
pub fn fill(store: &Store, extra: impl Fn(&str) -> f64) {
    let _guard = tch::no_grad_guard();
    for entry in store.entries() {
        if entry.role != Role::Parameter {
            continue;
        }
        let name = &entry.name;
        let shape = entry.tensor.size();
        let count = shape.iter().product::<i64>() as u64;
        let fan_in: i64 = shape.iter().skip(1).product();
        let bound = (6.0 / fan_in as f64).sqrt() * extra(name);
        let filled: Vec<f64> = (0..count)
            .map(|i| match () {
                () if shape.len() > 1 => bound * sym(name, i),
                () if name.ends_with("weight") => 1.0 + 0.1 * sym(name, i),
                () => 0.1 * sym(name, i),
            })
            .collect();
        entry
            .tensor
            .shallow_clone()
            .copy_(&Tensor::from_slice(&filled).reshape(shape));
    }
}

/// A recorded tensor as it was computed: real numbers as f64, bytes as u8.
pub fn recorded(file: &SafeTensors, name: &str) -> Option<Tensor> {
    let view = file.tensor(name).ok()?;
    let shape: Vec<i64> = view.shape().iter().map(|&side| side as i64).collect();
    let flat = match view.dtype() {
        safetensors::Dtype::U8 => Tensor::from_slice(view.data()),
        safetensors::Dtype::I8 | safetensors::Dtype::I32 | safetensors::Dtype::I64 => {
            Tensor::from_slice(&whole_numbers(view.dtype(), view.data())?)
        }
        _ => Tensor::from_slice(&values(file, name)?),
    };
    Some(flat.reshape(shape))
}

/// Whole numbers of any width.
fn whole_numbers(kind: safetensors::Dtype, bytes: &[u8]) -> Option<Vec<i64>> {
    use safetensors::Dtype;
    Some(match kind {
        Dtype::I8 => bytes.iter().map(|&byte| i64::from(byte as i8)).collect(),
        Dtype::I32 => {
            let words = bytes.as_chunks::<4>().0.iter();
            words.map(|&word| i32::from_le_bytes(word).into()).collect()
        }
        Dtype::I64 => bytes
            .as_chunks::<8>()
            .0
            .iter()
            .map(|&word| i64::from_le_bytes(word))
            .collect(),
        _ => return None,
    })
}

/// The first eight values in PyTorch's order.
pub fn head(t: &Tensor) -> Tensor {
    let flat = t.contiguous().view([-1]);
    flat.narrow(0, 0, flat.size()[0].min(8))
}

/// Collects every difference, so that one run shows them all.
pub struct Comparison<'a> {
    file: SafeTensors<'a>,
    wrong: Vec<String>,
    worst: f64,
    worst_name: String,
    compared: usize,
}

impl<'a> Comparison<'a> {
    pub fn new(file: SafeTensors<'a>) -> Self {
        Self {
            file,
            wrong: Vec::new(),
            worst: 0.0,
            worst_name: String::new(),
            compared: 0,
        }
    }

    /// Every value of `got` against those recorded under `name`, relative to the largest of them.
    pub fn check(&mut self, name: &str, got: &Tensor, tolerance: f64) {
        match recorded(&self.file, name) {
            Some(expected) => self.check_against(name, got, &expected, tolerance),
            None => self.wrong.push(format!("{name}: not recorded")),
        }
    }

    /// Norm and first values of `got` under the names `{prefix}_norm.{name}` and `{prefix}_head.{name}`.
    pub fn check_summary(&mut self, prefix: &str, name: &str, got: &Tensor, tolerance: f64) {
        let got = got.detach().to_kind(Kind::Double);
        self.check(&format!("{prefix}_norm.{name}"), &got.norm(), tolerance);
        self.check(&format!("{prefix}_head.{name}"), &head(&got), tolerance);
    }

    /// Values that must be those recorded under `name`, all of them.
    pub fn check_equal(&mut self, name: &str, got: &Tensor) {
        let Some(expected) = recorded(&self.file, name) else {
            return self.wrong.push(format!("{name}: not recorded"));
        };
        let (got_size, size) = (got.size(), expected.size());
        if got.numel() != expected.numel() {
            return self
                .wrong
                .push(format!("{name}: shape {got_size:?}, recorded {size:?}"));
        }
        self.compared += 1;
        let got = got.to_kind(Kind::Double).reshape([-1]);
        let different = got.ne_tensor(&expected.to_kind(Kind::Double).reshape([-1]));
        let count = different.sum(Kind::Int64).int64_value(&[]);
        if count > 0 {
            let first = different.nonzero().int64_value(&[0, 0]);
            self.wrong.push(format!(
                "{name}: {count} of {} values differ, the first is number {first}",
                got.numel()
            ));
        }
    }

    /// The same against values at hand.
    pub fn check_against(&mut self, name: &str, got: &Tensor, expected: &Tensor, tolerance: f64) {
        let got = got.detach().to_kind(Kind::Double);
        if got.size() != expected.size() && got.numel() != expected.numel() {
            let (got, expected) = (got.size(), expected.size());
            self.wrong
                .push(format!("{name}: shape {got:?}, recorded {expected:?}"));
            return;
        }
        let expected = expected.to_kind(Kind::Double).view_as(&got);
        if expected.numel() == 0 {
            self.compared += 1;
            return;
        }
        let largest = expected.abs().max().double_value(&[]).max(1e-9);
        let error = (got - expected).abs().max().double_value(&[]) / largest;
        if error > self.worst {
            (self.worst, self.worst_name) = (error, name.to_owned());
        }
        self.compared += 1;
        if error.is_nan() || error > tolerance {
            self.wrong
                .push(format!("{name}: {error:.1e} of the largest value, {largest:.3e}"));
        }
    }

    /// Whatever else is not as it was recorded.
    pub fn differs(&mut self, text: String) {
        self.wrong.push(text);
    }

    /// The file.
    pub fn recorded(&self, name: &str) -> Option<Tensor> {
        recorded(&self.file, name)
    }

    /// Fails with the first differences, if there are any.
    pub fn finish(mut self, name: &str) -> Result<(), Failed> {
        println!(
            "{name}: {} tensors, largest difference {:.1e} of a tensor's largest value {}",
            self.compared, self.worst, self.worst_name
        );
        if self.compared == 0 {
            return Err("nothing was compared".into());
        }
        if self.wrong.is_empty() {
            return Ok(());
        }
        let count = self.wrong.len();
        self.wrong.truncate(SHOWN);
        Err(format!(
            "{count} differences, the first of them:\n{}",
            self.wrong.join("\n")
        )
        .into())
    }
}
