//! What a network and its use are, in the words of MMSegmentation's configurations, both ways.

use serde_json::{Map, Value, json};
use slotcon_nn::Block;
use slotcon_train::normalise::{MEAN, STD};

use super::python::{assignments, written};
use crate::semantic::network::SegmentorConfig;
use crate::semantic::recipe::{Normalisation, SemanticRecipe};

/// Strides and dilations of the stages by the output stride.
const STAGES: [(i64, [i64; 4], [i64; 4]); 3] = [
    (32, [1, 2, 2, 2], [1, 1, 1, 1]),
    (16, [1, 2, 2, 1], [1, 1, 1, 2]),
    (8, [1, 2, 1, 1], [1, 1, 2, 4]),
];

/// A configuration, read.
pub(super) struct Config {
    found: Map<String, Value>,
    left_out: Option<String>,
}

impl Config {
    /// From the text in `meta`.
    pub fn read(text: &str) -> Self {
        let (found, left_out) = assignments(text);
        Self { found, left_out }
    }

    fn at(&self, path: &str) -> Option<&Value> {
        let (first, rest) = path.split_once('/').unwrap_or((path, ""));
        let value = self.found.get(first)?;
        match rest {
            "" => Some(value),
            rest => value.pointer(&format!("/{rest}")),
        }
    }

    fn text(&self, path: &str) -> Option<&str> {
        self.at(path)?.as_str()
    }

    fn bool_or(&self, path: &str, default: bool) -> bool {
        self.at(path).and_then(Value::as_bool).unwrap_or(default)
    }

    /// Writes what it says of network, pixels and test into `recipe`; gives what else is to be known.
    ///
    /// # Errors
    /// A network that is not built here: the key, its value and what would be right.
    pub fn apply(&self, recipe: &mut SemanticRecipe) -> Result<Vec<String>, String> {
        if self.at("model").is_none() {
            return Err(format!(
                "the configuration in its meta has no readable 'model'{}",
                self.left_out
                    .as_ref()
                    .map_or_else(String::new, |first| format!(" ({first})"))
            ));
        }
        self.must_be("model/type", &["EncoderDecoder"])?;
        self.must_be("model/backbone/type", &["ResNet", "ResNetV1c", "ResNetV1d"])?;
        self.must_be("model/decode_head/type", &["FCNHead"])?;
        self.backbone(recipe)?;
        let head = |key: &str| format!("model/decode_head/{key}");
        recipe.model.head_dilation = self.whole(&head("dilation"), 1)?;
        recipe.model.align_corners = self.bool_or(&head("align_corners"), false);
        recipe.model.dropout = self
            .at(&head("dropout_ratio"))
            .and_then(Value::as_f64)
            .unwrap_or(0.1);
        if !matches!(self.whole(&head("in_index"), -1)?, -1 | 3) {
            return Err(
                "model.decode_head.in_index is not the last stage, the only one that is supported".into(),
            );
        }
        if let Some(Value::Object(_)) = self.at("model/auxiliary_head") {
            self.must_be("model/auxiliary_head/type", &["FCNHead"])?;
            if self.whole("model/auxiliary_head/in_index", -1)? != 2 {
                return Err("model.auxiliary_head.in_index must be 2, the third stage".into());
            }
            recipe.model.auxiliary_dilation = self.whole("model/auxiliary_head/dilation", 1)?;
            let weight = self.at("model/auxiliary_head/loss_decode/loss_weight");
            recipe.model.auxiliary_weight = weight.and_then(Value::as_f64).unwrap_or(1.0);
        }
        self.pixels(recipe)?;
        self.test(recipe)
    }

    fn must_be(&self, path: &str, known: &[&str]) -> Result<(), String> {
        match self.text(path) {
            Some(found) if known.contains(&found) => Ok(()),
            found => Err(format!(
                "{} is {}; what is supported is {}",
                path.replace('/', "."),
                found.unwrap_or("missing"),
                known.join(", ")
            )),
        }
    }

    fn whole(&self, path: &str, default: i64) -> Result<i64, String> {
        match self.at(path) {
            None | Some(Value::Null) => Ok(default),
            Some(value) => value
                .as_i64()
                .ok_or_else(|| format!("{} is {value}, it must be a whole number", path.replace('/', "."))),
        }
    }

    fn backbone(&self, recipe: &mut SemanticRecipe) -> Result<(), String> {
        let four = |key: &str, default: [i64; 4]| -> Vec<i64> {
            let found = self
                .at(&format!("model/backbone/{key}"))
                .and_then(Value::as_array);
            found.map_or(default.into(), |values| {
                values.iter().filter_map(Value::as_i64).collect()
            })
        };
        let (strides, dilations) = (four("strides", [1, 2, 2, 2]), four("dilations", [1; 4]));
        let known = STAGES.iter().find(|(_, s, d)| strides == s && dilations == d);
        let Some((output_stride, ..)) = known else {
            return Err(format!(
                "model.backbone has strides {strides:?} and dilations {dilations:?}; supported are {}",
                STAGES.map(|(_, s, d)| format!("{s:?} with {d:?}")).join(", ")
            ));
        };
        recipe.model.output_stride = *output_stride;
        if *output_stride < 32 && !self.bool_or("model/backbone/contract_dilation", false) {
            return Err("model.backbone.contract_dilation is False, supported is True".into());
        }
        if self
            .text("model/backbone/style")
            .is_some_and(|style| style != "pytorch")
        {
            return Err("model.backbone.style is not 'pytorch', the only one that is supported".into());
        }
        for key in ["multi_grid", "dcn", "plugins"] {
            if self
                .at(&format!("model/backbone/{key}"))
                .is_some_and(|value| !value.is_null())
            {
                return Err(format!("model.backbone.{key} is not supported"));
            }
        }
        Ok(())
    }

    /// Mean and deviation: `img_norm_cfg` of 0.x, the data preprocessor of 1.x.
    fn pixels(&self, recipe: &mut SemanticRecipe) -> Result<(), String> {
        let places = ["model/data_preprocessor", "data_preprocessor", "img_norm_cfg"];
        let found = places
            .iter()
            .find(|place| self.at(&format!("{place}/mean")).is_some());
        let Some(place) = found else {
            return Err("it names no mean and std (img_norm_cfg or data_preprocessor)".into());
        };
        let three = |key: &str| -> Vec<f64> {
            let values = self.at(&format!("{place}/{key}")).and_then(Value::as_array);
            values.into_iter().flatten().filter_map(Value::as_f64).collect()
        };
        let (mean, std) = (three("mean"), three("std"));
        let red_first = ["bgr_to_rgb", "to_rgb"]
            .iter()
            .any(|key| self.bool_or(&format!("{place}/{key}"), false));
        let is = |kind: Normalisation| {
            let (m, s) = kind.mean_and_std();
            let near = |a: &[f64], b: [f64; 3]| {
                a.len() == 3 && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 2e-3 * b)
            };
            near(&mean, m) && near(&std, s)
        };
        let kinds = [Normalisation::Imagenet, Normalisation::ImagenetUndivided];
        match kinds.into_iter().find(|kind| is(*kind)) {
            Some(kind) if red_first => recipe.data.normalisation = kind,
            Some(_) => {
                return Err(format!(
                    "{place} keeps blue first (to_rgb=False), which is not supported"
                ));
            }
            None => {
                return Err(format!(
                    "{place} has mean {mean:?} and std {std:?}; supported are ImageNet's, {MEAN:?} and {STD:?}, times 255 or not"
                ));
            }
        }
        Ok(())
    }

    fn test(&self, recipe: &mut SemanticRecipe) -> Result<Vec<String>, String> {
        let mut notes = Vec::new();
        let place = ["model/test_cfg", "test_cfg"]
            .into_iter()
            .find(|place| self.at(&format!("{place}/mode")).is_some());
        let mode = place.and_then(|place| self.text(&format!("{place}/mode")));
        match (place, mode) {
            (Some(place), Some("slide")) => {
                let square = |key: &str| -> Result<u32, String> {
                    match self.pair(&format!("{place}/{key}")) {
                        Some([height, width]) if height == width => Ok(height),
                        found => Err(format!("{place}/{key} is {found:?}, supported are squares")),
                    }
                };
                recipe.test.window = square("crop_size")?;
                recipe.test.window_stride = square("stride")?;
            }
            (_, Some("whole")) => recipe.test.window = 0,
            _ => notes.push("it does not say whether pictures are seen whole or in windows: whole".into()),
        }
        let pipeline = self.at("test_pipeline").and_then(Value::as_array);
        let steps = pipeline.into_iter().flatten();
        let scale = steps
            .filter_map(|step| step.get("img_scale").or(step.get("scale")))
            .find_map(pair);
        match scale {
            Some([a, b]) => recipe.test.test_frame = [a.max(b), a.min(b)],
            None => notes.push(format!(
                "it does not say into what frame pictures are fitted: test.test_frame stays {:?}",
                recipe.test.test_frame
            )),
        }
        if let Some([height, width]) = self.pair("crop_size")
            && height == width
        {
            recipe.data.augment.crop = height;
        }
        Ok(notes)
    }

    fn pair(&self, path: &str) -> Option<[u32; 2]> {
        self.at(path).and_then(pair)
    }
}

fn pair(value: &Value) -> Option<[u32; 2]> {
    let side = |value: &Value| u32::try_from(value.as_i64()?).ok();
    match value.as_array()?.as_slice() {
        [a, b] => Some([side(a)?, side(b)?]),
        _ => None,
    }
}

/// The configuration of `network` as MMSegmentation 1.x reads it, in which its 0.x finds the normalisation, too.
pub(super) fn text(recipe: &SemanticRecipe, network: &SegmentorConfig) -> String {
    let spec = network.backbone.arch.spec();
    let kind = match (spec.deep, spec.pooled_shortcut) {
        (false, _) => "ResNet",
        (true, false) => "ResNetV1c",
        (true, true) => "ResNetV1d",
    };
    let depth = spec.blocks.iter().sum::<usize>() * if spec.block == Block::Basic { 2 } else { 3 } + 2;
    let norm = json!({"type": "BN", "requires_grad": true});
    let (mean, std) = recipe.data.normalisation.mean_and_std();
    let head = |head: &slotcon_nn::FcnConfig, index: i64, weight: f64| {
        json!({
            "type": "FCNHead",
            "in_channels": head.input,
            "in_index": index,
            "channels": if head.convolutions == 0 && !head.concat_input { head.input } else { head.channels },
            "num_convs": head.convolutions,
            "dilation": head.dilation,
            "concat_input": head.concat_input,
            "dropout_ratio": head.dropout,
            "num_classes": head.classes,
            "norm_cfg": norm,
            "align_corners": network.align_corners,
            "loss_decode": {"type": "CrossEntropyLoss", "use_sigmoid": false, "loss_weight": weight},
        })
    };
    let preprocessor = json!({
        "type": "SegDataPreProcessor",
        "mean": mean,
        "std": std,
        "bgr_to_rgb": true,
        "pad_val": 0,
        "seg_pad_val": 255,
    });
    let mut model = json!({
        "type": "EncoderDecoder",
        "data_preprocessor": preprocessor,
        "backbone": {
            "type": kind,
            "depth": depth,
            "num_stages": 4,
            "out_indices": [0, 1, 2, 3],
            "strides": network.backbone.strides,
            "dilations": network.backbone.dilations,
            "contract_dilation": network.backbone.contract_dilation,
            "style": "pytorch",
            "norm_eval": false,
            "norm_cfg": norm,
        },
        "decode_head": head(&network.decode, 3, 1.0),
        "train_cfg": {},
        "test_cfg": match recipe.test.window {
            0 => json!({"mode": "whole"}),
            side => json!({
                "mode": "slide",
                "crop_size": [side, side],
                "stride": [recipe.test.window_stride, recipe.test.window_stride],
            }),
        },
    });
    if let (Some(auxiliary), Some(model)) = (&network.auxiliary, model.as_object_mut()) {
        let written = head(&auxiliary.head, auxiliary.stage as i64, auxiliary.weight);
        model.insert("auxiliary_head".into(), written);
    }
    let crop = recipe.data.augment.crop;
    let parts = [
        ("crop_size", json!([crop, crop])),
        ("img_norm_cfg", json!({"mean": mean, "std": std, "to_rgb": true})),
        ("model", model),
        (
            "test_pipeline",
            json!([
                {"type": "LoadImageFromFile"},
                {"type": "Resize", "scale": recipe.test.test_frame, "keep_ratio": true},
                {"type": "LoadAnnotations"},
                {"type": "PackSegInputs"},
            ]),
        ),
    ];
    parts
        .iter()
        .map(|(name, value)| format!("{name} = {}\n", written(value)))
        .collect()
}

#[cfg(test)]
mod tests {
    use slotcon_train::TaskRecipe;

    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        for name in [
            "voc-fcn-d6-30k",
            "cityscapes-fcn-d6-90k",
            "ade20k-fcn-d8-80k",
            "semantic-small",
        ] {
            let recipe = SemanticRecipe::load(name, &[]).unwrap();
            let text = text(&recipe, &recipe.network(7).unwrap());
            let mut read = SemanticRecipe::default();
            let notes = Config::read(&text).apply(&mut read).unwrap();
            assert_eq!(notes, Vec::<String>::new(), "{name}");
            let mut model = recipe.model.clone();
            // Those stand in the weights.
            model.arch.clone_from(&read.model.arch);
            model.head_channels = read.model.head_channels;
            model.head_convolutions = read.model.head_convolutions;
            model.concat_input = read.model.concat_input;
            assert_eq!((&read.model, &read.test), (&model, &recipe.test), "{name}");
            assert_eq!(read.data.normalisation, recipe.data.normalisation);
        }
    }

    #[test]
    fn a_configuration_of_the_older_kind_is_read() {
        let text = "norm_cfg = dict(type='SyncBN', requires_grad=True)\n\
            model = dict(type='EncoderDecoder', pretrained='x', backbone=dict(type='ResNetV1c', depth=50, dilations=(1, 1, 2, 4), \
            strides=(1, 2, 1, 1), norm_cfg=norm_cfg, style='pytorch', contract_dilation=True), decode_head=dict(type='FCNHead', \
            in_index=3, channels=512, num_convs=2, concat_input=True, dropout_ratio=0.1, num_classes=19, align_corners=False), \
            auxiliary_head=dict(type='FCNHead', in_index=2, loss_decode=dict(type='CrossEntropyLoss', loss_weight=0.4)), \
            test_cfg=dict(mode='slide', crop_size=(769, 769), stride=(513, 513)))\n\
            img_norm_cfg = dict(\n    mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True)\n\
            test_pipeline = [dict(type='LoadImageFromFile'), dict(type='MultiScaleFlipAug', img_scale=(2049, 1025), flip=False)]\n";
        let mut recipe = SemanticRecipe::default();
        assert!(Config::read(text).apply(&mut recipe).unwrap().is_empty());
        let (model, test) = (&recipe.model, &recipe.test);
        assert_eq!(
            (model.output_stride, model.head_dilation, model.auxiliary_weight),
            (8, 1, 0.4)
        );
        assert_eq!(
            (test.window, test.window_stride, test.test_frame),
            (769, 513, [2049, 1025])
        );
        for (from, to, word) in [
            (
                "contract_dilation=True",
                "contract_dilation=False",
                "contract_dilation",
            ),
            ("FCNHead", "PSPHead", "PSPHead"),
            ("[123.675, 116.28, 103.53]", "[1, 2, 3]", "mean [1.0, 2.0, 3.0]"),
            ("to_rgb=True", "to_rgb=False", "to_rgb"),
            (
                "strides=(1, 2, 1, 1)",
                "strides=(1, 2, 2, 1)",
                "strides [1, 2, 2, 1]",
            ),
        ] {
            let said = Config::read(&text.replace(from, to))
                .apply(&mut recipe)
                .unwrap_err();
            assert!(said.contains(word), "{said}");
        }
    }
}
