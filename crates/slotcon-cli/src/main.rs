//! The `slotcon` command.

fn main() {
    println!("{}", slotcon_torch::version());
}
