"""A training recipe: the settings of a whole training run as one frozen, typed value; nothing heavy is imported here."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from hdvg.config.settings import Settings, Share
from hdvg.latents.settings import Encoding
from hdvg.model.config import Process

Positive = Annotated[float, Field(gt=0)]
Beta = Annotated[float, Field(ge=0, lt=1)]


class Draw(Settings):
    """What of a dataset a step sees."""

    where: str | None = Field(None, description="SQL condition on `dataset`, beside `keep`: a smaller training set")
    drop_text: Share = Field(0.1, description="share of samples whose text is empty, for guidance")
    balance: Share = Field(
        0.0,
        description="how far draws are evened out over clusters of embeddings: a cluster of n clips counts n^(1 - balance); 0: "
        "each clip once an epoch, 1: all groups of clusters the same",
    )
    repeats_most: float = Field(4.0, ge=1, description="how often an epoch may draw a clip, on average, with `balance`")
    by_noise: Share = Field(
        0.0,
        description="how far clips with much of `high_noise` are drawn at high noise, and those with much of `low_noise` at low noise; "
        "0: each at any, 1: the first among all hardly ever at low noise",
    )
    high_noise: str = Field(
        "local_px_s", description="SQL number over `dataset`: much of it, such as motion, is learnt at high noise"
    )
    low_noise: str = Field("sharpness", description="the same of what is learnt at low noise")
    images: Share = Field(0.0, description="share of samples of which one frame is taken, as an image")
    online: bool = Field(False, description="decode and encode while training; nothing is stored")


class Network(Settings):
    """Which network is trained."""

    size: Literal["tiny", "small", "sd21", "modelscope"] = Field("tiny", description="of `hdvg.model.config.SIZES`")
    arm: str = Field("swap", description="of the ablation: a key of `hdvg.model.config.ARMS`")
    change: dict[str, Any] = Field(default_factory=dict, description="settings of the network other than its size's")
    start: str | None = Field(
        None, description="folder of weights to start from: a diffusers U-Net, or an exported one"
    )
    checkpointing: Literal["none", "blocks"] = Field("none", description="blocks: recompute activations of each block")
    compile: bool = Field(False, description="torch.compile, block by block")


class Optimizer(Settings):
    """AdamW and what goes with it."""

    lr: Positive = Field(1e-3, description="learning rate after the warm-up; it stays")
    lr_swap: Positive | None = Field(None, description="that of Swap-CA's own weights; by default the same")
    warmup_steps: int = Field(20, ge=0, description="steps in which the rate grows from 0")
    betas: tuple[Beta, Beta] = Field(
        (0.9, 0.99), description="shares of the running means of the gradient and of its square that stay each step"
    )
    weight_decay: float = Field(0.01, ge=0, description="AdamW's, of matrices")
    clip_norm: Positive | None = Field(1.0, description="largest norm of the gradient")
    ema_half_lives: tuple[Positive, ...] = Field(
        (20.0, 200.0),
        min_length=1,
        description="steps after which a weight counts half in each running mean; the first is sampled from",
    )


class Validation(Settings):
    """The paired loss: the same held-out clips, noise and levels each time."""

    clips: int = Field(64, ge=0, description="clips held out, whole videos where it can be; at most a third of all")
    levels: int = Field(8, ge=1, description="noise levels for each clip")
    every_steps: int = Field(100, ge=1, description="steps from one validation to the next")


class Checkpoints(Settings):
    """What can be gone on from."""

    every_steps: int = Field(100, ge=1, description="steps from one checkpoint to the next")
    keep: int = Field(3, ge=1, description="newest ones that stay")


class Watch(Settings):
    """What a run shows of itself."""

    log_every_steps: int = Field(10, ge=1, description="steps from one line of figures to the next")
    sample_every_steps: int | None = Field(None, ge=1, description="none: only `hdvg sample` samples")
    prompts: tuple[str, ...] = Field((), description="what is sampled; by default captions of held-out clips")
    sample_steps: int = Field(20, ge=1, description="steps of the sampler for such samples")
    guidance: float = Field(4.0, ge=0, description="guidance scale of such samples; 1 is none")


class Length(Settings):
    """How long, how wide."""

    steps: int | None = Field(None, ge=1, description="stop after so many steps")
    minutes: Positive | None = Field(None, description="stop after so much time, resumed runs counted from their start")
    batch: int = Field(16, ge=1, description="samples of a step, over all processes")
    micro_batch: int | None = Field(
        None, ge=1, description="most samples at once in one process; by default all of a step"
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="auto: bf16 on a GPU; weights are always fp32"
    )
    seed: int = Field(0, description="of weights, order, noise and levels")
    loaders: int = Field(1, ge=1, description="threads that read samples ahead")
    sharding: Literal["ddp", "fsdp"] = Field("ddp", description="of several processes: whole copies, or FSDP2")


class TrainRecipe(Settings):
    """The settings of a training run."""

    name: str = Field("custom", description="what the recipe is called; part of the default name of a run's folder")
    about: str = Field("", description="what it is for, in a sentence")
    data: Encoding = Encoding()
    draw: Draw = Draw()
    network: Network = Network()
    process: Process = Process(predicts="v", zero_snr=True)
    optimizer: Optimizer = Optimizer()
    run: Length = Length(minutes=2.0)
    validation: Validation = Validation()
    checkpoints: Checkpoints = Checkpoints()
    watch: Watch = Watch()

    @field_validator("process", mode="before")
    @classmethod
    def _keep_what_is_predicted(cls, process: Any) -> Any:
        """Who sets another of its settings alone goes on predicting what this section does by default, not what `Process` does."""
        if isinstance(process, dict) and "predicts" not in process:
            return {"predicts": "v", "zero_snr": True} | process
        return process
