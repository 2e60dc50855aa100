"""A dense SPADE in PyTorch, to measure beside spadework: drawing, and whole iterations of training.

The networks have the structure, the sizes and the numbers of parameters that were published for ADE20K: 150 classes and
unlabelled, no instance maps, 256x256, ngf and ndf 64, SPADE 3x3 with 128 hidden channels, batch norm, spectral norm, two
discriminators. Weights are random, since only time and memory are of interest. A training iteration is a step of the
generator and one of the discriminator, hinge loss and feature matching, without the perceptual loss.

Prints a line of JSON. `python torch_peer.py --help` lists the options.
"""

import argparse
import json
import resource
import statistics
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import numpy
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import spectral_norm

CLASSES = 150
CHANNELS = CLASSES + 1


class Spade(nn.Module):
    """Normalises, then scales and shifts by what two convolutions make of the label map."""

    def __init__(self, channels, labels, hidden):
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.shared = nn.Conv2d(labels, hidden, 3, padding=1)
        self.gamma = nn.Conv2d(hidden, channels, 3, padding=1)
        self.beta = nn.Conv2d(hidden, channels, 3, padding=1)

    def forward(self, x, labels):
        labels = functional.interpolate(labels, size=x.shape[2:], mode="nearest")
        features = functional.relu(self.shared(labels))
        return self.norm(x) * (1 + self.gamma(features)) + self.beta(features)


class Block(nn.Module):
    """Two convolutions behind SPADE layers, and a shortcut that is learned where the width changes."""

    def __init__(self, fin, fout, labels, hidden):
        super().__init__()
        middle = min(fin, fout)
        self.norm_0 = Spade(fin, labels, hidden)
        self.conv_0 = spectral_norm(nn.Conv2d(fin, middle, 3, padding=1))
        self.norm_1 = Spade(middle, labels, hidden)
        self.conv_1 = spectral_norm(nn.Conv2d(middle, fout, 3, padding=1))
        self.is_learned = fin != fout
        if self.is_learned:
            self.norm_s = Spade(fin, labels, hidden)
            self.conv_s = spectral_norm(nn.Conv2d(fin, fout, 1, bias=False))

    def forward(self, x, labels):
        shortcut = self.conv_s(self.norm_s(x, labels)) if self.is_learned else x
        x_0 = self.conv_0(functional.leaky_relu(self.norm_0(x, labels), 0.2))
        x_1 = self.conv_1(functional.leaky_relu(self.norm_1(x_0, labels), 0.2))
        return shortcut + x_1


class Generator(nn.Module):
    """From a label map, and with an encoder from a style, to a picture: five doublings of the first grid."""

    WIDTHS = [(16, 16), (16, 16), (16, 16), (16, 8), (8, 4), (4, 2), (2, 1)]
    UP_BEFORE = [False, True, False, True, True, True, True]

    def __init__(self, size, width, labels, hidden, style):
        super().__init__()
        self.grid = size // 32
        self.width = width
        self.has_style = style > 0
        if self.has_style:
            self.first = nn.Linear(style, 16 * width * self.grid * self.grid)
        else:
            self.first = nn.Conv2d(labels, 16 * width, 3, padding=1)
        blocks = [Block(a * width, b * width, labels, hidden) for a, b in self.WIDTHS]
        self.blocks = nn.ModuleList(blocks)
        self.last = nn.Conv2d(width, 3, 3, padding=1)

    def forward(self, labels, style=None):
        if self.has_style:
            x = self.first(style).view(-1, 16 * self.width, self.grid, self.grid)
        else:
            x = self.first(functional.interpolate(labels, size=(self.grid, self.grid), mode="nearest"))
        for block, is_larger in zip(self.blocks, self.UP_BEFORE):
            if is_larger:
                x = functional.interpolate(x, scale_factor=2, mode="nearest")
            x = block(x, labels)
        return torch.tanh(self.last(functional.leaky_relu(x, 0.2)))


class Judge(nn.Module):
    """One discriminator: five convolutions, the features behind each."""

    def __init__(self, channels, width):
        super().__init__()

        def normed(cin, cout, stride):
            conv = nn.Conv2d(cin, cout, 4, stride=stride, padding=2, bias=False)
            return nn.Sequential(spectral_norm(conv), nn.InstanceNorm2d(cout), nn.LeakyReLU(0.2))

        first = nn.Sequential(nn.Conv2d(channels, width, 4, stride=2, padding=2), nn.LeakyReLU(0.2))
        self.layers = nn.ModuleList(
            [
                first,
                normed(width, 2 * width, 2),
                normed(2 * width, 4 * width, 2),
                normed(4 * width, 8 * width, 1),
                nn.Conv2d(8 * width, 1, 4, padding=2),
            ]
        )

    def forward(self, x):
        features = []
        for layer in self.layers:
            x = layer(x)
            features.append(x)
        return features


class Discriminator(nn.Module):
    """Two of them, the second at half the size."""

    def __init__(self, channels, width):
        super().__init__()
        self.scales = nn.ModuleList([Judge(channels, width) for _ in range(2)])

    def forward(self, x):
        verdicts = []
        for i, scale in enumerate(self.scales):
            if i > 0:
                x = functional.avg_pool2d(x, 3, stride=2, padding=1, count_include_pad=False)
            verdicts.append(scale(x))
        return verdicts


def halves(verdicts):
    """Splits verdicts on pictures and photos that were judged as one batch."""
    parts = [[feature.chunk(2) for feature in features] for features in verdicts]
    return [[[pair[half] for pair in features] for features in parts] for half in (0, 1)]


def judged(discriminator, labels, fake, real):
    both = torch.cat([torch.cat([labels, fake], 1), torch.cat([labels, real], 1)], 0)
    return halves(discriminator(both))


class Training:
    """Networks and optimisers, and one iteration of both steps."""

    def __init__(self, generator, discriminator, cast):
        self.generator, self.discriminator, self.cast = generator, discriminator, cast
        self.of_generator = torch.optim.Adam(generator.parameters(), lr=1e-4, betas=(0.0, 0.9))
        self.of_discriminator = torch.optim.Adam(discriminator.parameters(), lr=4e-4, betas=(0.0, 0.9))

    def iterate(self, labels, real):
        self.of_generator.zero_grad()
        with self.cast():
            fake = self.generator(labels)
            on_fake, on_real = judged(self.discriminator, labels, fake, real)
            adversarial = sum(-features[-1].mean() for features in on_fake) / len(on_fake)
            matching = sum(
                functional.l1_loss(a, b.detach()) * 10.0 / len(on_fake)
                for of_fake, of_real in zip(on_fake, on_real)
                for a, b in zip(of_fake[:-1], of_real[:-1])
            )
            loss = adversarial + matching
        loss.backward()
        self.of_generator.step()

        self.of_discriminator.zero_grad()
        with self.cast():
            with torch.no_grad():
                fake = self.generator(labels)
            on_fake, on_real = judged(self.discriminator, labels, fake.detach(), real)
            of_fake = sum(functional.relu(1 + f[-1]).mean() for f in on_fake) / len(on_fake)
            of_real = sum(functional.relu(1 - f[-1]).mean() for f in on_real) / len(on_real)
            verdict = of_fake + of_real
        verdict.backward()
        self.of_discriminator.step()
        return loss.item() + verdict.item()


def label_maps(folder, size):
    """Numbers of classes of every label map; those beyond the network's are folded into them, 255 is unlabelled."""
    if folder is None:
        # Quadrants: a dense network does not care what it sees.
        rows = numpy.arange(size)[:, None] * 2 // size
        return [torch.from_numpy((rows * 2 + rows.T).astype(numpy.int64))]
    from PIL import Image

    maps = []
    for path in sorted(Path(folder).rglob("*.png")):
        image = Image.open(path)
        values = numpy.asarray(image.resize((size, size), Image.NEAREST)).astype(numpy.int64)
        if values.ndim != 2:
            sys.exit(f"{path}: holds colours; label maps hold numbers of classes")
        maps.append(torch.from_numpy(numpy.where(values == 255, CLASSES, values % CLASSES)))
    if not maps:
        sys.exit(f"{folder}: holds no PNG")
    return maps


def one_hot(ids, device, memory_format):
    ids = ids.to(device)
    planes = torch.zeros(ids.shape[0], CHANNELS, *ids.shape[1:], device=device)
    return planes.scatter_(1, ids[:, None], 1.0).contiguous(memory_format=memory_format)


def options():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("mode", choices=["inference", "iteration", "count"])
    parser.add_argument("--maps", metavar="DIR", help="folder of label maps")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--width", type=int, default=64, help="ngf and ndf")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--style", action="store_true", help="a generator with styles")
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--tf32", action="store_true", help="let CUDA round factors to 10 bits")
    parser.add_argument("--autocast", action="store_true", help="half precision where it is deemed safe")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--threads", type=int, help="default: as many as cores")
    parser.add_argument("--seconds", type=float, default=10.0, help="three runs in any case")
    return parser.parse_args()


def main():
    args = options()
    if args.threads:
        torch.set_num_threads(args.threads)
    torch.backends.cuda.matmul.allow_tf32 = args.tf32
    torch.backends.cudnn.allow_tf32 = args.tf32
    torch.backends.cudnn.benchmark = True
    torch.manual_seed(1)
    device = torch.device(args.device)
    memory_format = torch.channels_last if args.channels_last else torch.contiguous_format
    is_training = args.mode == "iteration"

    def put(network):
        network = network.to(device).to(memory_format=memory_format)
        return torch.compile(network) if args.compile else network

    def cast():
        if not args.autocast:
            return nullcontext()
        half = torch.float16 if device.type == "cuda" and not is_training else torch.bfloat16
        return torch.autocast(device.type, half)

    generator = Generator(args.size, args.width, CHANNELS, 2 * args.width, 256 if args.style else 0)
    told = {"parameters": [sum(p.numel() for p in generator.parameters())]}
    if args.mode != "inference":
        discriminator = Discriminator(CHANNELS + 3, args.width)
        told["parameters"].append(sum(p.numel() for p in discriminator.parameters()))
    if args.mode == "count":
        print(json.dumps(told))
        return
    maps = label_maps(args.maps, args.size)
    style = torch.randn(args.batch, 256, device=device) if args.style else None
    if is_training:
        training = Training(put(generator).train(), put(discriminator).train(), cast)
        real = torch.rand(args.batch, 3, args.size, args.size, device=device) * 2 - 1
        real = real.contiguous(memory_format=memory_format)
    else:
        generator = put(generator).eval()

    def run(index):
        ids = torch.stack([maps[(index * args.batch + i) % len(maps)] for i in range(args.batch)])
        start = time.perf_counter()
        labels = one_hot(ids, device, memory_format)
        if is_training:
            training.iterate(labels, real)
        else:
            with torch.inference_mode(), cast():
                generator(labels, style).float().cpu()
        if device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    # The first runs allocate, choose kernels and compile.
    first = run(0)
    if device.type == "cuda":
        for i in range(5):
            run(i)
    times = []
    begin = time.perf_counter()
    while len(times) < 3 or time.perf_counter() - begin < args.seconds:
        times.append(run(len(times)))
    told.update(
        program=f"PyTorch {torch.__version__}",
        mode=args.mode,
        device=torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
        threads=torch.get_num_threads(),
        median_ms=statistics.median_high(times) * 1e3,
        best_ms=min(times) * 1e3,
        runs=len(times),
        first_ms=first * 1e3,
        peak_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10,
    )
    if device.type == "cuda":
        told["device_peak_bytes"] = torch.cuda.max_memory_allocated()
    print(json.dumps(told))


if __name__ == "__main__":
    main()
