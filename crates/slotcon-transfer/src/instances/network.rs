//! Mask R-CNN on a feature pyramid, under the names of detectron2's `GeneralizedRCNN`.

use slotcon_nn::detection::{
    Anchors, BoxHead, BoxHeadConfig, BoxPredictor, Fpn, FpnConfig, MaskHead, MaskHeadConfig, Proposed,
    RpnHead,
};
use slotcon_nn::{Backbone, BatchNormMode, Path, ResNet, ResNetConfig};
use slotcon_torch::Error;
use tch::Tensor;

use super::pooler::pool;
use super::proposals::{ProposalLimits, Proposals, propose};
use super::regions::{RegionBatch, Regions, all_mask_targets, box_losses, mask_loss, sample_regions};
use super::rpn::{anchor_targets, rpn_losses};
use super::sampling::{Choose, Sampling};
use super::truth::Truth;

/// Side of a region's map for the box head,
const BOX_SIDE: i64 = 7;
/// for the mask head,
const MASK_SIDE: i64 = 14;
/// and of the mask that it draws.
pub const DRAWN_SIDE: u32 = 28;
/// The sides of a batch are multiples of this.
pub const MULTIPLE: i64 = 32;

/// How a detector is built.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DetectorConfig {
    /// The backbone.
    pub backbone: ResNetConfig,
    /// Whether the backbone's batch norms are constants, by the statistics that they came with.
    pub freeze_norm: bool,
    /// Whether pyramid and heads have batch norms, not biases.
    pub norm: bool,
    /// 3x3 convolutions of the box head,
    pub box_convolutions: usize,
    /// and its fully connected layers.
    pub box_layers: usize,
    /// Channels of the pyramid and the heads.
    pub channels: i64,
    /// Features of a fully connected layer.
    pub features: i64,
    /// Number of classes.
    pub classes: i64,
    /// Anchors of a picture that the loss counts, and how many of them at most hold an object.
    pub anchor_sampling: Sampling,
    /// The same for proposals.
    pub region_sampling: Sampling,
}

/// How many proposals are kept in training,
pub const TRAINING_PROPOSALS: ProposalLimits = ProposalLimits {
    before: 2000,
    after: 1000,
    overlap: 0.7,
};
/// and in inference.
pub const TEST_PROPOSALS: ProposalLimits = ProposalLimits {
    before: 1000,
    ..TRAINING_PROPOSALS
};

/// Pictures of one size, padded right and below.
#[derive(Debug)]
pub struct Pictures {
    /// Normalised, `[B, 3, H, W]`, zero where a picture is padded; sides are multiples of [`MULTIPLE`].
    pub pixels: Tensor,
    /// (height, width) of each without its padding.
    pub sizes: Vec<(i64, i64)>,
}

/// The losses, scalars.
#[derive(Debug)]
pub struct Losses {
    /// The sum that is minimised.
    pub total: Tensor,
    /// Class of a region.
    pub class: Tensor,
    /// Box of a region.
    pub boxes: Tensor,
    /// Mask of a region.
    pub mask: Tensor,
    /// Whether an anchor holds an object.
    pub objectness: Tensor,
    /// How an anchor moves.
    pub anchors: Tensor,
}

/// What happened on the way to the losses.
#[derive(Debug)]
pub struct Training {
    /// The losses.
    pub losses: Losses,
    /// The anchors that were counted, by picture.
    pub anchors: Vec<super::rpn::AnchorTargets>,
    /// The proposals of each picture.
    pub proposals: Vec<Proposals>,
    /// The regions of each picture.
    pub regions: Vec<Regions>,
    /// The masks that were learnt, bytes `[F, 28, 28]`.
    pub masks: Tensor,
}

/// A detector.
#[derive(Debug)]
pub struct MaskRcnn {
    config: DetectorConfig,
    anchors: Anchors,
    fpn: Fpn,
    backbone: ResNet,
    rpn: RpnHead,
    box_head: BoxHead,
    box_predictor: BoxPredictor,
    mask_head: MaskHead,
}

impl MaskRcnn {
    /// Builds `backbone`, `proposal_generator` and `roi_heads` below `path`, in this order.
    pub fn new(path: &Path, config: DetectorConfig) -> Self {
        let DetectorConfig {
            norm,
            channels,
            features,
            classes,
            ..
        } = config;
        let anchors = Anchors::default();
        let backbone = path.sub("backbone");
        let fpn = FpnConfig {
            input: config.backbone.arch.spec().channels(),
            channels,
            norm,
        };
        let box_head = BoxHeadConfig {
            input: channels,
            side: BOX_SIDE,
            convolutions: config.box_convolutions,
            channels,
            norm,
            layers: config.box_layers,
            features,
        };
        let mask_head = MaskHeadConfig {
            input: channels,
            convolutions: 4,
            channels,
            norm,
            classes,
        };
        let fpn = Fpn::new(&backbone, fpn);
        let backbone = ResNet::new(&backbone.sub("bottom_up"), config.backbone);
        let rpn = path.sub("proposal_generator").sub("rpn_head");
        let rpn = RpnHead::new(&rpn, channels, anchors.per_position());
        let heads = path.sub("roi_heads");
        Self {
            config,
            anchors,
            fpn,
            backbone,
            rpn,
            box_head: BoxHead::new(&heads.sub("box_head"), box_head),
            box_predictor: BoxPredictor::new(&heads.sub("box_predictor"), features, classes),
            mask_head: MaskHead::new(&heads.sub("mask_head"), mask_head),
        }
    }

    /// How it was built.
    pub fn config(&self) -> &DetectorConfig {
        &self.config
    }

    /// The pyramid's maps of pictures, p2 … p6.
    ///
    /// # Errors
    /// Pictures of another shape, a rank that is gone.
    pub fn maps(&self, pixels: &Tensor, mode: BatchNormMode) -> Result<[Tensor; 5], Error> {
        let of_backbone = if self.config.freeze_norm {
            BatchNormMode::Frozen
        } else {
            mode
        };
        self.fpn
            .forward(&self.backbone.stages(pixels, of_backbone)?, mode)
    }

    /// The anchors of each map.
    ///
    /// # Errors
    /// What libtorch refuses.
    pub fn anchors(&self, maps: &[Tensor]) -> Result<Vec<Tensor>, Error> {
        let of_map = |(level, map): (usize, &Tensor)| {
            let (_, _, height, width) = map.size4()?;
            self.anchors.of_map(level, height, width, map.device())
        };
        maps.iter().enumerate().map(of_map).collect()
    }

    /// What the region proposal network says of each map's anchors.
    ///
    /// # Errors
    /// Maps of another shape.
    pub fn proposed(&self, maps: &[Tensor]) -> Result<Vec<Proposed>, Error> {
        maps.iter().map(|map| self.rpn.forward(map)).collect()
    }

    /// Logits `[R, classes + 1]` and deltas `[R, 4 * classes]` of boxes `[R, 4]` of pictures `[R]`, both on the CPU.
    ///
    /// # Errors
    /// Other shapes, a rank that is gone.
    pub fn classify(
        &self,
        maps: &[Tensor],
        boxes: &Tensor,
        pictures: &Tensor,
        mode: BatchNormMode,
    ) -> Result<[Tensor; 2], Error> {
        let features = pool(maps, boxes, pictures, BOX_SIDE)?;
        self.box_predictor
            .forward(&self.box_head.forward(&features, mode)?)
    }

    /// Logits of masks `[R, classes, 28, 28]` in boxes `[R, 4]` of pictures `[R]`, both on the CPU.
    ///
    /// # Errors
    /// Other shapes, a rank that is gone.
    pub fn draw(
        &self,
        maps: &[Tensor],
        boxes: &Tensor,
        pictures: &Tensor,
        mode: BatchNormMode,
    ) -> Result<Tensor, Error> {
        self.mask_head
            .forward(&pool(maps, boxes, pictures, MASK_SIDE)?, mode)
    }

    /// The losses of pictures and their objects, and what they were computed on. `mode` is [`BatchNormMode::Train`], or
    /// [`BatchNormMode::Measure`] to see the statistics of the batch.
    ///
    /// Where no region of the batch has an object, the mask head sees the first region all the same, at a weight of nothing, so that
    /// its batch norms and gradients are there on every rank.
    ///
    /// # Errors
    /// Pictures and objects that do not fit; what libtorch refuses; a rank that is gone.
    pub fn forward_train(
        &self,
        pictures: &Pictures,
        truths: &[Truth],
        choose: &mut dyn Choose,
        mode: BatchNormMode,
    ) -> Result<Training, Error> {
        let config = &self.config;
        let maps = self.maps(&pictures.pixels, mode)?;
        let by_map = self.anchors(&maps)?;
        let all_anchors = Tensor::f_cat(&by_map, 0)?;
        let proposed = self.proposed(&maps)?;
        let anchors = anchor_targets(&all_anchors, truths, config.anchor_sampling, choose)?;
        let rpn = rpn_losses(&proposed, &anchors, config.anchor_sampling)?;
        let proposals = propose(&by_map, &proposed, &pictures.sizes, TRAINING_PROPOSALS)?;
        drop((all_anchors, proposed));

        let mut regions = Vec::with_capacity(truths.len());
        for (picture, (proposals, truth)) in proposals.iter().zip(truths).enumerate() {
            let of = (picture, pictures.sizes[picture]);
            let how = (config.classes, config.region_sampling);
            regions.push(sample_regions(proposals, truth, of, how, choose)?);
        }
        let batch = RegionBatch::of(&regions, truths)?;
        let [logits, deltas] = self.classify(&maps, &batch.boxes, &batch.pictures, mode)?;
        let [class, boxes] = box_losses([&logits, &deltas], &batch)?;

        let masks = all_mask_targets(&regions, truths, DRAWN_SIDE)?;
        let of = |x: &Tensor| x.f_index_select(0, &batch.foreground);
        let mask = if batch.foreground.numel() > 0 {
            let drawn = self.draw(&maps, &of(&batch.boxes)?, &of(&batch.pictures)?, mode)?;
            mask_loss(&drawn, &of(&batch.classes)?, &masks)?
        } else {
            let first = |x: &Tensor| x.f_narrow(0, 0, 1);
            let drawn = self.draw(&maps, &first(&batch.boxes)?, &first(&batch.pictures)?, mode)?;
            drawn.f_sum(class.kind())? * 0.0
        };
        let total = &class + &boxes + &mask + &rpn.objectness + &rpn.boxes;
        Ok(Training {
            losses: Losses {
                total,
                class,
                boxes,
                mask,
                objectness: rpn.objectness,
                anchors: rpn.boxes,
            },
            anchors,
            proposals,
            regions,
            masks,
        })
    }

    /// The proposals of pictures by the running statistics.
    ///
    /// # Errors
    /// Pictures of another shape.
    pub fn propose(&self, maps: &[Tensor], sizes: &[(i64, i64)]) -> Result<Vec<Proposals>, Error> {
        propose(&self.anchors(maps)?, &self.proposed(maps)?, sizes, TEST_PROPOSALS)
    }
}
