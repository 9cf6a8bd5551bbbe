"""TRL on prompts with images: a tiny LLaVA, trained by the real trainer on selected rows, each with its own image."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("trl")
from tests.adapters.known_rates import spy

from edgewise import gates
from edgewise.errors import ConfigError

pytestmark = pytest.mark.filterwarnings("default")
ROWS, SIDE = 24, 8
TEMPLATE = (
    "{% for message in messages %}{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}{% endfor %}"
)


@pytest.fixture
def pictures() -> Any:
    """The red of row i's image is 10 i; every third prompt is never solved, every third always."""
    from datasets import Dataset, Features, Image, Value
    from PIL import Image as Pil

    rows = {
        "prompt": [[{"role": "user", "content": f"{1 + i % 9} -> {1 + i} :"}] for i in range(ROWS)],
        "image": [Pil.new("RGB", (SIDE, SIDE), (10 * i, 0, 0)) for i in range(ROWS)],
        "name": [f"p{i}" for i in range(ROWS)],
    }
    messages = [{"role": Value("string"), "content": Value("string")}]
    return Dataset.from_dict(rows, Features({"prompt": messages, "image": Image(), "name": Value("string")}))


@pytest.fixture
def make_seeing(make: Callable[..., Any], model_folder: Path) -> Callable[..., Any]:
    """`make` with a model that sees: one layer of CLIP before one layer of Llama, untrained."""
    from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration, LlavaProcessor
    from transformers import PreTrainedTokenizerFast as Tokenizer
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    tokenizer = Tokenizer.from_pretrained(model_folder, padding_side="left")
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2}
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(num_hidden_layers=2, image_size=SIDE, patch_size=4, projection_dim=16, **sizes),
        text_config=LlamaConfig(num_hidden_layers=1, num_key_value_heads=1, vocab_size=len(tokenizer), **sizes),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        image_seq_length=4,
    )
    square = {"height": SIDE, "width": SIDE}
    processor = LlavaProcessor(
        CLIPImageProcessorPil(size=square, crop_size=square),
        tokenizer,
        patch_size=4,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=TEMPLATE,
    )
    # An untrained model writes the image token now and then. TRL 1.10 takes it for one more image and stops; later ones do not.
    unwritten = {"generation_kwargs": {"suppress_tokens": [config.image_token_index]}}
    return lambda settings=None, **options: make(
        {**unwritten, **(settings or {})},
        model=LlavaForConditionalGeneration(config),
        processing_class=processor,
        **options,
    )


def by_picture(image: list[Any], **_: Any) -> list[float]:
    """Judged by what the trainer hands over as the image: rows 1, 4, 7, ... are solved by every other rollout."""
    rows = [picture.getpixel((0, 0))[0] // 10 for picture in image]
    return [float(row % 3 == 2 or (row % 3 == 1 and place % 2)) for place, row in enumerate(rows)]


def test_selected_rows_come_with_their_images(make_seeing, pictures):
    curriculum = spy(pictures)
    seen = []

    def reward(image, name, **_):
        seen.append(([picture.getpixel((0, 0))[0] // 10 for picture in image], name))
        return by_picture(image)

    trainer = make_seeing({"max_steps": 4}, curriculum=curriculum, train_dataset=pictures, reward_funcs=reward)
    sight = trainer.model.get_parameter("model.multi_modal_projector.linear_1.weight")
    before = sight.detach().clone()
    trainer.train()
    # The images reach the model: what stands between its vision tower and its text has been trained.
    assert (sight != before).any()
    for (rows, names), batch in zip(seen, curriculum.batches, strict=True):
        assert names == np.repeat(batch.ids, 4).tolist() == [f"p{row}" for row in rows]
    assert curriculum.metrics()["rollouts"] == 4 * 16
    assert curriculum.metrics()["in_flight"] == 0
    assert curriculum.metrics()["tokens"] > 0


def test_selection_pays_with_images(make_seeing, pictures):
    ratios = {}
    for selector in ("uniform", "edge"):
        trainer = make_seeing({"max_steps": 12}, curriculum=selector, train_dataset=pictures, reward_funcs=by_picture)
        trainer.train()
        ratios[selector] = trainer.curriculum.metrics()["mean_effective_ratio"]
    assert ratios["edge"] > ratios["uniform"] + 0.15


def test_a_filter_works_with_images_and_a_refill_is_refused(make_seeing, pictures):
    options = {"train_dataset": pictures, "reward_funcs": by_picture}
    filtered = make_seeing(curriculum=spy(pictures, gates=gates.Informative(max_rounds=1)), **options)
    filtered.train()
    assert filtered.curriculum.metrics()["rollouts"] == 3 * 16
    with pytest.raises(ConfigError, match="refill does not handle images"):
        make_seeing(curriculum=spy(pictures, gates=gates.Informative()), **options)
