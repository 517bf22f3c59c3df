//! What bytes between ranks are for.

/// A purpose of an operation over ranks; each is counted on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Traffic {
    /// Averaging gradients.
    Gradients = 0,
    /// Statistics of batch norm, forward and backward.
    BatchNorm = 1,
    /// The centre.
    Center = 2,
    /// The teacher's slots, and how many there are.
    Slots = 3,
    /// Metrics of logged steps.
    Metrics = 4,
    /// A few numbers a step, by which ranks agree on whether to go on.
    Control = 5,
}

impl Traffic {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Gradients,
        Self::BatchNorm,
        Self::Center,
        Self::Slots,
        Self::Metrics,
        Self::Control,
    ];
}
