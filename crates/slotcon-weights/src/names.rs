//! Names of a backbone's tensors: ours are those of the official code (`conv1.weight`, `layer1.0.conv1.weight`, …);
//! here are the ways to and from those of others.

use std::collections::BTreeMap;

use slotcon_nn::{Arch, Block};

/// Official and timm's name of the deep stem of ResNet-D: nested there, one flat sequence here.
const DEEP_STEM: [(&str, &str); 5] = [
    ("conv1.0.0.", "conv1.0."),
    ("conv1.0.1.", "conv1.1."),
    ("conv1.1.0.", "conv1.3."),
    ("conv1.1.1.", "conv1.4."),
    ("conv1.2.", "conv1.6."),
];

/// timm's name. Only the deep stem differs.
pub fn to_timm(name: &str) -> String {
    let found = DEEP_STEM
        .iter()
        .find_map(|(ours, theirs)| Some(format!("{theirs}{}", name.strip_prefix(ours)?)));
    found.unwrap_or_else(|| name.into())
}

/// The way back from [`to_timm`].
pub fn from_timm(name: &str) -> String {
    let found = DEEP_STEM
        .iter()
        .find_map(|(ours, theirs)| Some(format!("{ours}{}", name.strip_prefix(theirs)?)));
    found.unwrap_or_else(|| name.into())
}

/// detectron2's name, by the rule of the official converter, which is the same for every backbone: stages are `res2` to
/// `res5`, what belongs to none is in `stem`, `bnN` is `convN.norm`, `downsample.0` and `.1` are the shortcut and its norm.
pub fn to_detectron2(name: &str) -> String {
    let mut name = if name.contains("layer") {
        name.to_owned()
    } else {
        format!("stem.{name}")
    };
    for stage in 1..=4 {
        name = name.replace(&format!("layer{stage}"), &format!("res{}", stage + 1));
    }
    for conv in 1..=3 {
        name = name.replace(&format!("bn{conv}"), &format!("conv{conv}.norm"));
    }
    name.replace("downsample.0", "shortcut")
        .replace("downsample.1", "shortcut.norm")
}

/// The way back from [`to_detectron2`], for names of plain stems.
pub fn from_detectron2(name: &str) -> String {
    let mut name = name.strip_prefix("stem.").unwrap_or(name).to_owned();
    for stage in 1..=4 {
        name = name.replace(&format!("res{}.", stage + 1), &format!("layer{stage}."));
    }
    for conv in 1..=3 {
        name = name.replace(&format!("conv{conv}.norm."), &format!("bn{conv}."));
    }
    name.replace("shortcut.norm.", "downsample.1.")
        .replace("shortcut.", "downsample.0.")
}

/// Official name of the deep stem and that of MMSegmentation's `ResNetV1c` and `ResNetV1d`, one flat sequence.
const MMSEGMENTATION_STEM: [(&str, &str); 6] = [
    ("conv1.0.0.", "stem.0."),
    ("conv1.0.1.", "stem.1."),
    ("conv1.1.0.", "stem.3."),
    ("conv1.1.1.", "stem.4."),
    ("conv1.2.", "stem.6."),
    ("bn1.", "stem.7."),
];

/// MMSegmentation's name. Only the deep stem differs.
pub fn to_mmsegmentation(name: &str, deep: bool) -> String {
    let mut table = MMSEGMENTATION_STEM.iter().filter(|_| deep);
    let found = table.find_map(|(ours, theirs)| Some(format!("{theirs}{}", name.strip_prefix(ours)?)));
    found.unwrap_or_else(|| name.into())
}

/// The way back from [`to_mmsegmentation`].
pub fn from_mmsegmentation(name: &str) -> String {
    let found = MMSEGMENTATION_STEM
        .iter()
        .find_map(|(ours, theirs)| Some(format!("{ours}{}", name.strip_prefix(theirs)?)));
    found.unwrap_or_else(|| name.into())
}

/// What stands before the backbone's names: the part of a name before `layer1.0.conv1.weight`. Sorted, no name twice.
pub fn backbone_prefixes<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut found: Vec<String> = names
        .filter_map(|name| name.strip_suffix("layer1.0.conv1.weight"))
        .filter(|prefix| prefix.is_empty() || prefix.ends_with('.'))
        .map(str::to_owned)
        .collect();
    found.sort();
    found.dedup();
    found
}

/// Which of several backbones in a file is meant: the teacher's in a file of SlotCon, elsewhere the one trained by
/// gradient, as every converter of MoCo's files takes it.
pub fn choose_prefix(prefixes: &[String], slotcon: bool) -> Option<&String> {
    let wanted = if slotcon { "encoder_k." } else { "encoder_q." };
    match prefixes {
        [only] => Some(only),
        several => {
            // DenseCL's encoders are sequences whose first part is the backbone.
            let first = format!("{wanted}0.");
            let mut found = several
                .iter()
                .filter(|prefix| prefix.ends_with(wanted) || prefix.ends_with(&first));
            found.next().filter(|_| found.next().is_none())
        }
    }
}

/// The backbone that has these tensors (official names without prefix, shapes). The output stride leaves no trace in
/// weights: `resnet50` stands for `resnet50_16s` too.
pub fn arch_of(shapes: &BTreeMap<String, Vec<i64>>) -> Option<Arch> {
    let shape = |name: &str| shapes.get(name).map(Vec::as_slice);
    let first = |name: &str| shape(name)?.first().copied();
    let blocks = |stage: usize| {
        (0..)
            .take_while(|i| shapes.contains_key(&format!("layer{stage}.{i}.conv1.weight")))
            .count()
    };
    let stages = [1, 2, 3, 4].map(blocks);
    let block = if shapes.contains_key("layer1.0.conv3.weight") {
        Block::Bottleneck
    } else {
        Block::Basic
    };
    let deep = shapes.contains_key("conv1.0.0.weight");
    // The pooling has a place in the sequence and no weight.
    let pooled = shapes.contains_key("layer2.0.downsample.2.weight");
    let stem = first("bn1.weight")?;
    let &[width, per_group, ..] = shape("layer1.0.conv2.weight")? else {
        return None;
    };
    Arch::ALL.iter().copied().find(|arch| {
        let spec = arch.spec();
        let planes = 64 * spec.width;
        let middle = planes * spec.group_width / 64 * spec.groups;
        spec.blocks == stages
            && spec.block == block
            && spec.deep == deep
            && spec.pooled_shortcut == pooled
            && stem == planes
            && (width, per_group) == (middle, middle / spec.groups)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deep_stem_goes_to_timm_and_back() {
        for name in [
            "conv1.0.0.weight",
            "conv1.0.1.running_var",
            "conv1.1.0.weight",
            "conv1.1.1.bias",
            "conv1.2.weight",
            "layer1.0.downsample.1.weight",
            "bn1.weight",
        ] {
            assert_eq!(from_timm(&to_timm(name)), name);
        }
        assert_eq!(to_timm("conv1.2.weight"), "conv1.6.weight");
        assert_eq!(to_timm("conv1.weight"), "conv1.weight");
    }

    #[test]
    fn detectron2_and_back() {
        for (ours, theirs) in [
            ("conv1.weight", "stem.conv1.weight"),
            ("bn1.running_mean", "stem.conv1.norm.running_mean"),
            ("layer1.0.conv3.weight", "res2.0.conv3.weight"),
            ("layer4.2.bn3.bias", "res5.2.conv3.norm.bias"),
            ("layer2.0.downsample.0.weight", "res3.0.shortcut.weight"),
            (
                "layer2.0.downsample.1.num_batches_tracked",
                "res3.0.shortcut.norm.num_batches_tracked",
            ),
        ] {
            assert_eq!(to_detectron2(ours), theirs);
            assert_eq!(from_detectron2(theirs), ours);
        }
    }

    #[test]
    fn the_backbone_is_found_behind_any_prefix() {
        let names = |prefixes: &[&str]| -> Vec<String> {
            let names = prefixes
                .iter()
                .flat_map(|p| [format!("{p}layer1.0.conv1.weight"), format!("{p}fc.weight")]);
            names.collect()
        };
        let found = |prefixes: &[&str]| backbone_prefixes(names(prefixes).iter().map(String::as_str));
        assert_eq!(found(&[""]), [""]);
        assert_eq!(found(&["my"]), [""; 0]);
        let moco = found(&["state_dict.module.encoder_q.", "state_dict.module.encoder_k."]);
        assert_eq!(
            choose_prefix(&moco, false).unwrap(),
            "state_dict.module.encoder_q."
        );
        assert_eq!(
            choose_prefix(&moco, true).unwrap(),
            "state_dict.module.encoder_k."
        );
        assert_eq!(choose_prefix(&found(&["a.", "b."]), false), None);
    }
}
