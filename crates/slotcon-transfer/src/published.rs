//! What every published recipe must hold; for tests.

use std::fmt::Debug;

use slotcon_train::TaskRecipe;

/// Every published recipe loads, survives writing, and says what it costs.
pub fn hold<R: TaskRecipe + Debug + PartialEq>() {
    for published in R::PUBLISHED {
        let recipe = R::load(published.name, &[]).unwrap_or_else(|e| panic!("{}: {e}", published.name));
        let again = R::from_toml(&recipe.to_toml().unwrap(), "written").unwrap();
        assert_eq!(again, recipe, "{}", published.name);
        for word in ["# cost:", "# result:", "# run:"] {
            assert!(published.text.contains(word), "{}: {word}", published.name);
        }
    }
}
