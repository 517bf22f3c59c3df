//! Every backbone goes out under the names that others expect and comes back the same; the student by name.

use libtest_mimic::Trial;
use slotcon::interop::{Format, export, init_backbone, inspect};
use slotcon::method::{Branch, SlotCon};
use slotcon_nn::Arch;
use slotcon_weights::WeightFile;
use tch::{Device, Kind, Tensor};

use crate::support;

pub fn trials() -> Vec<Trial> {
    let mut trials: Vec<Trial> = Arch::ALL
        .iter()
        .map(|&arch| {
            Trial::test(format!("there and back: {arch}"), move || {
                there_and_back(arch);
                Ok(())
            })
        })
        .collect();
    trials.push(Trial::test("prefixes, classifiers and misfits", || {
        prefixes_and_misfits();
        Ok(())
    }));
    trials.push(Trial::test("a folder for the Hub", || {
        hub();
        Ok(())
    }));
    trials.push(Trial::test(
        "endings and backbones that a format does not have",
        || {
            refused();
            Ok(())
        },
    ));
    trials.push(Trial::test(
        "an augmentation that the official code does not have is said",
        || {
            other_augmentation();
            Ok(())
        },
    ));
    trials
}

/// Tensors of one encoder by their names without it.
fn encoder(model: &SlotCon, prefix: &str) -> Vec<(String, Tensor)> {
    let entries = model.store().entries();
    let named = entries
        .into_iter()
        .filter_map(|e| Some((e.name.strip_prefix(prefix)?.to_owned(), e.tensor)));
    named.collect()
}

fn equal(a: &[(String, Tensor)], b: &[(String, Tensor)]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.0 == b.0 && a.1 == b.1)
}

fn there_and_back(arch: Arch) {
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = folder.path().join("ours.safetensors");
    let recipe = support::recipe(arch.name());
    let model = support::model(&recipe);
    support::save(&model, &recipe, &checkpoint);
    let (teacher, student) = (encoder(&model, "encoder_k."), encoder(&model, "encoder_q."));
    assert!(!equal(&teacher, &student));

    let wide = arch == Arch::ResNet50W2x;
    for (format, out, network, weights, possible) in [
        (
            Format::Torchvision,
            "tv.pth",
            Branch::Teacher,
            &teacher,
            !arch.spec().deep && !wide,
        ),
        (Format::Timm, "timm.safetensors", Branch::Student, &student, !wide),
        (Format::Mmsegmentation, "mm.pth", Branch::Student, &student, true),
    ] {
        let out = folder.path().join(out);
        let written = export(&checkpoint, format, network, None, &out);
        if !possible {
            assert!(written.unwrap_err().to_string().contains(arch.name()));
            assert!(!out.exists());
            continue;
        }
        assert_eq!(written.unwrap().matched.len(), weights.len());
        let other = SlotCon::new(recipe.model_config().unwrap(), Device::Cpu, Kind::Float);
        let report = init_backbone(&out, None, &other).unwrap();
        assert_eq!(
            (report.missing.len(), report.unexpected.len()),
            (0, 0),
            "{report}"
        );
        assert!(
            equal(&encoder(&other, "encoder_q."), weights),
            "{arch} by {format:?}"
        );
        assert!(
            equal(&encoder(&other, "encoder_k."), weights),
            "{arch} by {format:?}"
        );
        // The stride leaves no trace in weights.
        let seen = inspect(&out).unwrap().arch.unwrap();
        assert_eq!(seen, arch.name().trim_end_matches("_16s"));
    }
    // The rule of the official converter, for whatever name.
    let out = folder.path().join("d2.pkl");
    export(&checkpoint, Format::Detectron2, Branch::Teacher, None, &out).unwrap();
    let file = WeightFile::open(&out).unwrap();
    assert_eq!(file.tensors.len(), teacher.len());
    for ((name, tensor), (ours, weight)) in file.tensors.iter().zip(&teacher) {
        let stem = if ours.contains("layer") { "" } else { "stem." };
        let mut theirs = format!("model.{stem}{ours}");
        for (from, to) in [
            ("layer4", "res5"),
            ("layer3", "res4"),
            ("layer2", "res3"),
            ("layer1", "res2"),
            ("bn1", "conv1.norm"),
            ("bn2", "conv2.norm"),
            ("bn3", "conv3.norm"),
            ("downsample.0", "shortcut"),
            ("downsample.1", "shortcut.norm"),
        ] {
            theirs = theirs.replace(from, to);
        }
        assert_eq!(name, &theirs);
        assert!(tensor == weight, "{name}");
    }
}

fn write(path: &std::path::Path, tensors: &[(String, Tensor)]) {
    let views: Vec<(String, Vec<u8>, Vec<usize>, safetensors::Dtype)> = tensors
        .iter()
        .map(|(name, tensor)| {
            let dtype = if tensor.kind() == Kind::Float {
                safetensors::Dtype::F32
            } else {
                safetensors::Dtype::I64
            };
            let tensor = tensor.detach().contiguous();
            let mut bytes = vec![0; tensor.numel() * tensor.kind().elt_size_in_bytes()];
            tensor.copy_data_u8(&mut bytes, tensor.numel());
            let shape = tensor.size().iter().map(|&n| n as usize).collect();
            (name.clone(), bytes, shape, dtype)
        })
        .collect();
    let views = views.iter().map(|(name, bytes, shape, dtype)| {
        let view = safetensors::tensor::TensorView::new(*dtype, shape.clone(), bytes).unwrap();
        (name.as_str(), view)
    });
    safetensors::serialize_to_file(views, None, path).unwrap();
}

fn prefixes_and_misfits() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("moco.safetensors");
    let recipe = support::recipe("resnet18");
    let source = support::model(&recipe);
    let (teacher, student) = (encoder(&source, "encoder_k."), encoder(&source, "encoder_q."));
    let fresh = || SlotCon::new(recipe.model_config().unwrap(), Device::Cpu, Kind::Float);
    let named = |prefix: &str, list: &[(String, Tensor)]| -> Vec<(String, Tensor)> {
        let named = list
            .iter()
            .map(|(n, t)| (format!("{prefix}{n}"), t.shallow_clone()));
        named.collect()
    };

    // MoCo: two encoders, classifiers, a queue; without counters, as old files are.
    let mut moco = named("module.encoder_q.", &student);
    moco.extend(named("module.encoder_k.", &teacher));
    moco.retain(|(name, _)| !name.ends_with("num_batches_tracked"));
    moco.push((
        "module.encoder_q.fc.weight".into(),
        Tensor::zeros([5, 512], (Kind::Float, Device::Cpu)),
    ));
    moco.push((
        "module.queue".into(),
        Tensor::zeros([4, 4], (Kind::Float, Device::Cpu)),
    ));
    write(&path, &moco);
    let model = fresh();
    let report = init_backbone(&path, None, &model).unwrap();
    assert_eq!(report.missing.len(), 20, "the counters");
    let unexpected: Vec<&str> = report.unexpected.iter().map(|(name, _)| name.as_str()).collect();
    assert!(unexpected.contains(&"module.encoder_q.fc.weight") && unexpected.contains(&"module.queue"));
    let weights = |model: &SlotCon, prefix: &str| {
        let mut list = encoder(model, prefix);
        list.retain(|(name, _)| !name.ends_with("num_batches_tracked"));
        list
    };
    assert!(equal(
        &weights(&model, "encoder_q."),
        &weights(&source, "encoder_q.")
    ));
    assert!(equal(
        &weights(&model, "encoder_k."),
        &weights(&source, "encoder_q.")
    ));

    // Our own checkpoint: its teacher.
    let own = folder.path().join("own.safetensors");
    support::save(&source, &recipe, &own);
    let model = fresh();
    init_backbone(&own, None, &model).unwrap();
    assert!(equal(&encoder(&model, "encoder_q."), &teacher));

    // One weight gone, one of another shape, nothing at all: errors that change nothing.
    let before = encoder(&model, "encoder_q.");
    let before: Vec<_> = before.iter().map(|(n, t)| (n.clone(), t.copy())).collect();
    let mut broken = student.clone_list();
    broken.retain(|(name, _)| name != "layer3.1.conv2.weight");
    let place = broken.iter().position(|(name, _)| name == "bn1.bias").unwrap();
    broken[place].1 = Tensor::zeros([65], (Kind::Float, Device::Cpu));
    write(&path, &broken);
    let said = init_backbone(&path, None, &model).unwrap_err().to_string();
    assert!(
        said.contains("layer3.1.conv2.weight [256, 256, 3, 3]")
            && said.contains("bn1.bias [65] instead of [64]"),
        "{said}"
    );
    write(
        &path,
        &[(
            "fc.weight".into(),
            Tensor::zeros([2, 3], (Kind::Float, Device::Cpu)),
        )],
    );
    let said = init_backbone(&path, None, &model).unwrap_err().to_string();
    assert!(
        said.contains("zero matches") && said.contains("fc.weight [2, 3]"),
        "{said}"
    );
    assert!(equal(&encoder(&model, "encoder_q."), &before));
}

trait CloneList {
    fn clone_list(&self) -> Vec<(String, Tensor)>;
}

impl CloneList for Vec<(String, Tensor)> {
    fn clone_list(&self) -> Vec<(String, Tensor)> {
        self.iter().map(|(n, t)| (n.clone(), t.shallow_clone())).collect()
    }
}

fn refused() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = folder.path().join("ours.safetensors");
    let recipe = support::recipe("resnet18");
    support::save(&support::model(&recipe), &recipe, &checkpoint);
    for (format, name) in [
        (Format::Detectron2, "x.pth"),
        (Format::Mmsegmentation, "x.safetensors"),
        (Format::Official, "x"),
        (Format::Torchvision, "x.pkl"),
    ] {
        let out = folder.path().join(name);
        let said = export(&checkpoint, format, Branch::Teacher, None, &out)
            .unwrap_err()
            .to_string();
        assert!(
            said.contains("must end in .") && said.contains(format.name()),
            "{said}"
        );
        assert!(!out.exists());
    }
    let small = folder.path().join("small.safetensors");
    let recipe = support::recipe("resnet10");
    support::save(&support::model(&recipe), &recipe, &small);
    let out = folder.path().join("small.pth");
    let said = export(&small, Format::Official, Branch::Teacher, None, &out).unwrap_err();
    assert!(said.to_string().contains("no backbone like resnet10"), "{said}");
    assert!(!out.exists());
    std::fs::remove_file(&small).unwrap();
    // Into a folder that is not there: nothing is left behind.
    let nowhere = folder.path().join("no/x.pth");
    let said = export(&checkpoint, Format::Torchvision, Branch::Teacher, None, &nowhere).unwrap_err();
    assert!(said.to_string().contains("no/x.pth"), "{said}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

fn other_augmentation() {
    let folder = tempfile::tempdir().unwrap();
    let notes = |max_scale: f64| {
        let mut recipe = support::recipe("resnet18");
        recipe.data.augment.image_size = 96;
        recipe.data.augment.max_scale = max_scale;
        let checkpoint = folder.path().join("ours.safetensors");
        support::save(&support::model(&recipe), &recipe, &checkpoint);
        let out = folder.path().join("official.pth");
        let report = export(&checkpoint, Format::Official, Branch::Teacher, None, &out).unwrap();
        report.notes.iter().any(|note| note.contains("augmentation"))
    };
    assert_eq!([1.0, 0.6].map(notes), [false, true]);
}

fn hub() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let checkpoint = run.join("checkpoints/step-00000030.safetensors");
    std::fs::create_dir_all(checkpoint.parent().unwrap()).unwrap();
    // The figures of the checkpoint's own step, not of the last.
    std::fs::write(
        run.join("metrics.jsonl"),
        "{\"step\": 30, \"loss\": 4.25}\n{\"step\": 31, \"loss\": 9.5}\n",
    )
    .unwrap();
    let mut recipe = support::recipe("resnet50_d");
    recipe.model.output_stride = 16;
    let model = support::model(&recipe);
    support::save(&model, &recipe, &checkpoint);

    let out = folder.path().join("hub");
    let write = |license| export(&checkpoint, Format::Hub, Branch::Student, license, &out);
    let said = write(Some("MIT licence")).unwrap_err().to_string();
    assert!(said.contains("'MIT licence'") && !out.exists(), "{said}");
    let report = write(None).unwrap();
    assert!(
        report.notes.iter().any(|note| note.contains("--license")),
        "{report}"
    );
    assert!(
        !std::fs::read_to_string(out.join("README.md"))
            .unwrap()
            .contains("license:")
    );
    std::fs::write(out.join("mine.txt"), "stays").unwrap();
    write(Some("cc-by-4.0")).unwrap();
    let mut files: Vec<_> = std::fs::read_dir(&out)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    let expected = [
        "README.md",
        "config.json",
        "mine.txt",
        "model.safetensors",
        "slotcon.safetensors",
    ];
    assert_eq!(files, expected);

    let config: serde_json::Value =
        serde_json::from_slice(&std::fs::read(out.join("config.json")).unwrap()).unwrap();
    assert_eq!(config["architecture"], "resnet50d");
    assert_eq!(config["model_args"], serde_json::json!({"output_stride": 16}));
    assert_eq!(
        config["pretrained_cfg"]["mean"],
        serde_json::json!([0.485, 0.456, 0.406])
    );
    let card = std::fs::read_to_string(out.join("README.md")).unwrap();
    assert!(
        card.starts_with("---\nlibrary_name: timm\nlicense: cc-by-4.0\n"),
        "{card}"
    );
    assert!(
        card.contains("| loss at the end | 4.2500 |") && card.contains("30 of 300 steps"),
        "{card}"
    );

    let backbone = WeightFile::open(&out.join("model.safetensors")).unwrap();
    assert_eq!(backbone.metadata.get("format").map(String::as_str), Some("pt"));
    assert_eq!(backbone.tensors.len(), encoder(&model, "encoder_q.").len());
    assert!(backbone.tensors.iter().any(|(name, _)| name == "conv1.6.weight"));
    let heads = WeightFile::open(&out.join("slotcon.safetensors")).unwrap();
    for (part, prefix) in [("projector.", "projector_q."), ("grouping.", "grouping_q.")] {
        let ours = encoder(&model, prefix);
        assert!(!ours.is_empty());
        for (name, tensor) in ours {
            let wanted = format!("{part}{name}");
            let found = heads.tensors.iter().find(|(name, _)| *name == wanted);
            assert!(found.unwrap().1 == tensor, "{wanted}");
        }
    }
    let about: serde_json::Value = serde_json::from_str(&heads.metadata["slotcon_hub"]).unwrap();
    assert_eq!(
        (&about["network"], &about["step"]),
        (&"student".into(), &30.into())
    );

    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let said = export(&checkpoint, Format::Hub, Branch::Teacher, None, &file).unwrap_err();
    assert!(said.to_string().contains("is no folder"), "{said}");
    let onnx = folder.path().join("x.onnx");
    let said = export(&checkpoint, Format::Onnx, Branch::Teacher, None, &onnx).unwrap_err();
    assert!(said.to_string().contains("pip install 'slotcon[onnx]'"), "{said}");
}
