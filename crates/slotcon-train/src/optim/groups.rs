//! Parameters with a learning rate or a weight decay of their own.

/// A group of parameters, by their names.
#[derive(Debug, Clone, PartialEq)]
pub struct ParameterGroup {
    /// A parameter whose name contains one of these belongs to it.
    pub containing: Vec<&'static str>,
    /// The learning rate is multiplied by this.
    pub lr_scale: f64,
    /// Its weight decay; `None`: the optimizer's.
    pub weight_decay: Option<f64>,
}

impl ParameterGroup {
    /// Whether the parameter `name` belongs to it.
    pub fn holds(&self, name: &str) -> bool {
        self.containing.iter().any(|part| name.contains(part))
    }
}
