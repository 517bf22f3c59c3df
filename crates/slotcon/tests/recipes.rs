//! Recipes: published ones load, settings override, mistakes are named with what would be right.

#![allow(clippy::unwrap_used, reason = "a test may end in a panic")]

use slotcon::recipe::{OptimizerName, PUBLISHED, Precision, Recipe, TaskRecipe};

fn load(name: &str, settings: &[&str]) -> Result<Recipe, String> {
    let settings: Vec<String> = settings.iter().map(|s| s.to_string()).collect();
    Recipe::load(name, &settings).map_err(|e| e.to_string())
}

#[test]
fn published_recipes_load_and_survive_writing() {
    for published in PUBLISHED {
        let recipe = load(published.name, &[]).unwrap_or_else(|e| panic!("{}: {e}", published.name));
        let again = Recipe::from_toml(&recipe.to_toml().unwrap(), "written").unwrap();
        assert_eq!(again, recipe, "{}", published.name);
        let comment: String = published
            .text
            .lines()
            .take_while(|l| l.starts_with('#'))
            .collect();
        for part in ["Costs:", "Reaches:", "Run:"] {
            assert!(
                comment.contains(part),
                "{} does not open with '{part}'",
                published.name
            );
        }
    }
}

#[test]
fn the_published_runs_are_those_of_the_paper() {
    for (name, epochs, prototypes) in [
        ("coco-r50-800ep", 800.0, 256),
        ("cocoplus-r50-800ep", 800.0, 256),
        ("imagenet-r50-100ep", 100.0, 2048),
        ("imagenet-r50-200ep", 200.0, 2048),
    ] {
        let recipe = load(name, &[]).unwrap();
        let expected = Recipe::default();
        assert_eq!(
            (recipe.run.epochs, recipe.model.prototypes),
            (epochs, prototypes),
            "{name}"
        );
        assert_eq!(recipe.optim, expected.optim, "{name}");
        assert_eq!(recipe.data.augment, expected.data.augment, "{name}");
        assert_eq!(recipe.model.dim_hidden, 4096, "{name}");
    }
}

#[test]
fn settings_override() {
    let recipe = load(
        "small",
        &[
            "optim.batch=64",
            "optim.optimizer=sgd",
            "run.precision=bf16",
            "data.min_scale=0.3",
            "model.arch=resnet50_d",
        ],
    )
    .unwrap();
    assert_eq!(recipe.optim.batch, 64);
    assert_eq!(recipe.optim.optimizer, OptimizerName::Sgd);
    assert_eq!(recipe.run.precision, Precision::Bf16);
    assert_eq!(recipe.data.augment.min_scale, 0.3);
    assert_eq!(recipe.model.arch, "resnet50_d");
}

#[test]
fn epochs_that_are_asked_for_overrule_steps_of_the_recipe() {
    let length = |settings: &[&str]| {
        let recipe = load("small", settings).unwrap();
        (recipe.run.epochs, recipe.run.steps, recipe.run.stop_at)
    };
    let usual = length(&[]);
    assert!(usual.1 > usual.2 && usual.2 > 0, "{usual:?}");
    assert_eq!(length(&["run.epochs=7"]), (7.0, 0, 0));
    assert_eq!(length(&["run.epochs=7", "run.steps=90"]), (7.0, 90, 0));
    assert_eq!(length(&["run.steps=90", "run.epochs=7"]), (7.0, 0, 0));
    let recipe = load("small", &["optim.warmup_epochs=2"]).unwrap();
    assert_eq!((recipe.optim.warmup_epochs, recipe.optim.warmup_steps), (2.0, 0));
}

#[test]
fn mistakes_are_named_with_what_would_be_right() {
    for (settings, expected) in [
        (
            vec!["optim.batchsize=64"],
            vec!["optim.batchsize", "did you mean 'optim.batch'?"],
        ),
        (vec!["optm.batch=64"], vec!["optm", "did you mean 'optim'?"]),
        (vec!["optim.lr=1"], vec!["unknown key 'optim.lr'", "base_lr"]),
        (vec!["batch=64"], vec!["section.key=value"]),
        (vec!["optim.batch"], vec!["section.key=value"]),
        (
            vec!["optim.batch=many"],
            vec!["--set optim.batch=many", "expected"],
        ),
        (vec!["optim.optimizer=adam"], vec!["adam", "lars", "sgd"]),
        (vec!["model.arch=resnet51"], vec!["resnet51", "resnet50"]),
        (
            vec!["data.image_size=16"],
            vec!["data.image_size = 16", "at least 17"],
        ),
        (vec!["data.min_scale=1.5"], vec!["data.min_scale = 1.5"]),
        (vec!["optim.batch=1"], vec!["optim.batch = 1", "at least 2"]),
        (vec!["optim.warmup_multiplier=1"], vec!["above 1"]),
        (
            vec!["run.epochs=5", "optim.warmup_epochs=5"],
            vec!["optim.warmup_epochs = 5", "run.epochs = 5"],
        ),
        (
            vec!["model.teacher_momentum=1.1"],
            vec!["model.teacher_momentum = 1.1", "from 0 to 1"],
        ),
        (vec!["optim.base_lr=nan"], vec!["optim.base_lr", "above 0"]),
    ] {
        let error = load("small", &settings).expect_err(&settings.join(" "));
        for part in expected {
            assert!(
                error.contains(part),
                "{settings:?}: '{error}' does not contain '{part}'"
            );
        }
    }
    let read = |weight: &str| {
        Recipe::from_toml(
            &format!("[model]\ngram_weight = {weight}\ngram_from = 7"),
            "old.toml",
        )
    };
    assert_eq!(read("0.0").unwrap(), Recipe::default());
    let error = read("0.5").unwrap_err().to_string();
    assert!(
        error.contains("model.gram_weight = 0.5: this program has no Gram anchoring"),
        "{error}"
    );
    let error = load("coco-r50", &[]).unwrap_err();
    assert!(error.contains("did you mean 'coco-r50-800ep'?"), "{error}");
    assert!(
        Recipe::from_toml("[optim\nbatch = 3", "broken.toml")
            .unwrap_err()
            .to_string()
            .contains("broken.toml")
    );
}
