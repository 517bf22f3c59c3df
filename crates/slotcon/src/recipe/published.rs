//! The recipes that ship with the program: the files of the `recipes/` folder.

use slotcon_train::recipe::Published;

macro_rules! published {
    ($($name:literal),* $(,)?) => {
        /// All of them; the first is the default of `slotcon pretrain`.
        pub const PUBLISHED: &[Published] = &[$(Published {
            name: $name,
            text: include_str!(concat!("../../../../recipes/", $name, ".toml")),
        }),*];
    };
}

published!(
    "small",
    "coco-r50-800ep",
    "cocoplus-r50-800ep",
    "imagenet-r50-100ep",
    "imagenet-r50-200ep",
);
