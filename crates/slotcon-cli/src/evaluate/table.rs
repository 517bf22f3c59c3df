//! What several methods reached, side by side: one column a method, one row a number or class.

/// The table while it grows.
#[derive(Debug)]
pub struct Table {
    text: String,
}

impl Table {
    /// Begins with the protocol and the names of the methods.
    pub fn new<'a>(protocol: &str, methods: impl IntoIterator<Item = &'a str>) -> Self {
        let mut table = Self {
            text: format!("protocol: {protocol}\n\n{:<22}", ""),
        };
        for name in methods {
            table.text += &format!("{name:>18}");
        }
        table
    }

    /// A row with a value a method.
    pub fn line(&mut self, name: &str, values: impl IntoIterator<Item = String>) {
        self.text += &format!("\n{name:<22}");
        for value in values {
            self.text += &format!("{value:>18}");
        }
    }

    /// A row of shares in percent; `-` where there is none.
    pub fn percent(&mut self, name: &str, shares: impl IntoIterator<Item = Option<f64>>) {
        let shown = |share: Option<f64>| share.map_or("-".into(), |share| format!("{:.1}", 100.0 * share));
        self.line(name, shares.into_iter().map(shown));
    }

    /// The whole text.
    pub fn finish(self) -> String {
        self.text + "\n"
    }
}
