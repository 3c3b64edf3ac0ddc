"""PyTorch's times for the kernels of `anneal bench kernels`, one request a line on standard input, one answer a line on standard output.

Started by anneal; by hand:
  echo '{"case": {"name": "softmax", "dtype": "f32", "modes": ["eager"], "sets": 4}}' | python torch_kernels.py --device cpu --sizes '{"rows": 4096, "width": 1024}'
"""

import argparse
import gc
import json
import math
import statistics
import sys
import time

import torch
import torch._dynamo
import torch._functorch.config
import torch.nn.functional as F

import torch_optimizers

DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16}
CASES = {}


class Context:
    """Sizes, dtype and device of a case, and makers of its tensors."""

    def __init__(self, sizes, dtype, device):
        self.sizes, self.name, self.dtype, self.device = sizes, dtype, DTYPES[dtype], device

    def __getattr__(self, name):
        return self.sizes[name]

    def random(self, *shape, dtype=None, gradient=False):
        x = torch.randn(*shape, device=self.device, dtype=torch.float32).to(dtype or self.dtype)
        return x.requires_grad_(gradient)

    def ids(self, *shape, classes):
        return torch.randint(0, classes, shape, device=self.device)

    @property
    def matrix(self):
        return self.rows, self.width


class Case:
    """`inputs()` makes a set of tensors, `forward(*set)` is the work; with `backward` only the gradients are timed, with `both` all of it."""

    def __init__(self, inputs, forward, backward=False, both=False, compilable=True):
        self.inputs, self.forward, self.backward, self.both, self.compilable = inputs, forward, backward, both, compilable


def case(*names):
    """Registers a function (context) → Case, or (context, name) → Case under several names."""

    def register(make):
        for name in names:
            CASES[name] = (lambda c, name=name: make(c, name)) if len(names) > 1 else make
        return make

    return register


def simple(name, arrays, forward, **options):
    """A case whose inputs are `arrays` normal tensors [rows, width]."""
    CASES[name] = lambda c: Case(lambda: [c.random(*c.matrix, gradient=options.get("backward", False)) for _ in range(arrays)], forward, **options)


simple("fill", 1, lambda x: x.fill_(1.5))
simple("copyStrided", 2, lambda x, y: y.copy_(x))
simple("copyStrided transpose", 1, lambda x: x.t().contiguous())
simple("unary exp", 1, torch.exp)
simple("unary geluTanh", 1, lambda x: F.gelu(x, approximate="tanh"))
simple("unaryBackward geluTanh", 1, lambda x: F.gelu(x, approximate="tanh"), backward=True)
simple("binary add", 2, torch.add)
simple("random uniform", 1, lambda x: x.uniform_())
simple("random normal", 1, lambda x: x.normal_())
simple("dropout", 1, lambda x: F.dropout(x, 0.1, True))
simple("reduce sum of rows", 1, lambda x: x.sum(1))
simple("reduce sum of columns", 1, lambda x: x.sum(0))
simple("reduce logSumExp", 1, lambda x: torch.logsumexp(x, 1))
simple("cumsum", 1, lambda x: x.cumsum(1))
simple("softmax", 1, lambda x: x.softmax(1))
simple("softmaxBackward", 1, lambda x: x.softmax(1), backward=True)


@case("cast")
def cast(c):
    other = torch.bfloat16 if c.name == "f32" else torch.float32
    return Case(lambda: [c.random(*c.matrix)], lambda x: x.to(other))


@case("copyStrided heads")
def heads(c):
    return Case(lambda: [c.random(c.rows, c.heads, c.head)], lambda x: x.transpose(0, 1).contiguous())


@case("axpy")
def axpy(c):
    inputs = lambda: [c.random(*c.matrix, dtype=torch.float32), c.random(*c.matrix)]
    return Case(inputs, lambda y, x: y.add_(x, alpha=1e-3))


@case("binary add row")
def add_row(c):
    return Case(lambda: [c.random(*c.matrix), c.random(c.width)], torch.add)


@case("where")
def where(c):
    inputs = lambda: [c.random(*c.matrix) > 0, c.random(*c.matrix), c.random(*c.matrix)]
    return Case(inputs, torch.where)


@case("softmax vocabulary")
def softmax_vocabulary(c):
    return Case(lambda: [c.random(c.sampled, c.vocabulary)], lambda x: x.softmax(1))


@case("gather", "scatterAdd")
def elements(c, name):
    inputs = lambda: [c.random(*c.matrix), c.ids(*c.matrix, classes=c.width)]
    if name == "gather":
        return Case(inputs, lambda x, index: x.gather(1, index))
    return Case(inputs, lambda x, index: torch.zeros_like(x).scatter_add_(1, index, x))


@case("sample greedy", "sample top-p")
def sample(c, name):
    def greedy(logits):
        best, ids = logits.max(1)
        return ids, best.float() - torch.logsumexp(logits.float(), 1)

    def top_p(logits):
        logits = logits.float()
        ordered, order = logits.sort(1, descending=True)
        p = ordered.softmax(1)
        kept = p.masked_fill(p.cumsum(1) - p >= 0.9, 0)
        ids = order.gather(1, torch.multinomial(kept, 1))
        return ids, logits.log_softmax(1).gather(1, ids)

    return Case(lambda: [c.random(c.sampled, c.vocabulary)], greedy if name == "sample greedy" else top_p)


@case("embeddingForward", "embeddingBackward")
def embedding(c, name):
    backward = name == "embeddingBackward"
    inputs = lambda: [c.ids(c.rows, classes=c.vocabulary), c.random(c.vocabulary, c.width, gradient=backward)]
    return Case(inputs, lambda ids, weight: F.embedding(ids, weight), backward=backward)


@case("rmsNormForward", "rmsNormForward residual", "rmsNormBackward")
def rms_norm(c, name):
    backward = name == "rmsNormBackward"
    if name == "rmsNormForward residual":

        def added(x, other, weight):
            total = x + other
            return F.rms_norm(total, weight.shape, weight, 1e-6), total

        return Case(lambda: [c.random(*c.matrix), c.random(*c.matrix), c.random(c.width)], added)
    inputs = lambda: [c.random(*c.matrix, gradient=backward), c.random(c.width, gradient=backward)]
    return Case(inputs, lambda x, weight: F.rms_norm(x, weight.shape, weight, 1e-6), backward=backward)


@case("layerNormForward", "layerNormBackward")
def layer_norm(c, name):
    backward = name == "layerNormBackward"
    inputs = lambda: [c.random(*shape, gradient=backward) for shape in (c.matrix, (c.width,), (c.width,))]
    return Case(inputs, lambda x, weight, bias: F.layer_norm(x, weight.shape, weight, bias, 1e-6), backward=backward)


@case("rope")
def rope(c):
    half = c.head // 2
    frequencies = 10000.0 ** (-torch.arange(half, device=c.device) / half)
    angles = torch.arange(c.length, device=c.device)[:, None] * frequencies
    cos, sin = angles.cos(), angles.sin()

    def rotate(x, positions):
        a, b = x[..., :half].float(), x[..., half:].float()
        k, s = cos[positions][:, None], sin[positions][:, None]
        return torch.cat((a * k - b * s, b * k + a * s), -1).to(x.dtype)

    return Case(lambda: [c.random(c.rows, c.heads, c.head), c.ids(c.rows, classes=c.length)], rotate)


@case("gatedForward", "gatedBackward")
def gated(c, name):
    backward = name == "gatedBackward"
    inputs = lambda: [c.random(c.rows, c.inner, gradient=backward) for _ in range(2)]
    return Case(inputs, lambda gate, up: F.silu(gate) * up, backward=backward)


@case("matmul NT", "matmul NN", "matmul TN")
def matmul(c, name):
    side = c.product[c.name]
    forwards = {"NT": lambda a, b: a @ b.t(), "NN": lambda a, b: a @ b, "TN": lambda a, b: a.t() @ b}
    return Case(lambda: [c.random(side, side), c.random(side, side)], forwards[name[-2:]])


@case("groupedMatmul NT", "groupedMatmul NN", "groupedMatmul TN")
def grouped(c, name):
    # Experts with equally many rows: one batched product is the fastest way there is.
    e, rows, k, n = c.experts, c.expertRows // c.experts, c.expertInputs, c.expertOutputs
    shapes, forward = {
        "NT": (((e, rows, k), (e, n, k)), lambda a, b: torch.bmm(a, b.transpose(1, 2))),
        "NN": (((e, rows, n), (e, n, k)), torch.bmm),
        "TN": (((e, rows, n), (e, rows, k)), lambda a, b: torch.bmm(a.transpose(1, 2), b)),
    }[name[-2:]]
    return Case(lambda: [c.random(*shape) for shape in shapes], forward)


def loss_inputs(c, gradient):
    weight = (c.random(c.lossVocabulary, c.lossWidth) / math.sqrt(c.lossWidth)).detach().requires_grad_(gradient)
    return [c.random(c.lossRows, c.lossWidth, gradient=gradient), weight, c.ids(c.lossRows, classes=c.lossVocabulary)]


@case("linearCrossEntropy", "linearCrossEntropy loss alone")
def cross_entropy(c, name):
    both = name == "linearCrossEntropy"
    return Case(lambda: loss_inputs(c, both), lambda h, w, t: F.cross_entropy((h @ w.t()).float(), t), both=both)


@case("tokenLogProbsForward", "tokenLogProbsBackward")
def token_log_probs(c, name):
    def forward(h, weight, targets):
        logp = (h @ weight.t()).float().log_softmax(1)
        chosen = logp.gather(1, targets[:, None])[:, 0]
        return (chosen, -(logp.exp() * logp).sum(1)) if name == "tokenLogProbsForward" else chosen

    backward = name == "tokenLogProbsBackward"
    return Case(lambda: loss_inputs(c, backward), forward, backward=backward)


@case("gradNorm", "adamw", "sgd")
def optimizer(c, name):
    return Case(*torch_optimizers.case(c, name), compilable=False)


@case("attention", "attention with backward")
def attention(c, name):
    both = name == "attention with backward"
    shape = (math.ceil(c.rows / c.length), c.heads, c.length, c.head)
    inputs = lambda: [c.random(*shape, gradient=both) for _ in range(3)]
    return Case(inputs, lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True), both=both)


class Clock:
    """Seconds of a number of calls: by events on a GPU, by the clock elsewhere."""

    def __init__(self, device):
        self.cuda = device == "cuda"

    def __call__(self, calls, repetitions, start=0):
        if not self.cuda:
            begin = time.perf_counter()
            for i in range(repetitions):
                calls[(start + i) % len(calls)]()
            return time.perf_counter() - begin
        first, last = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        # The device is busy when its clock starts.
        calls[start % len(calls)]()
        first.record()
        for i in range(repetitions):
            calls[(start + i) % len(calls)]()
        last.record()
        last.synchronize()
        return first.elapsed_time(last) / 1000


def median_time(clock, calls, milliseconds, samples):
    """Seconds of one call, median of samples that are long enough."""
    clock(calls, 1)
    repetitions = 1
    while True:
        seconds = clock(calls, repetitions)
        if seconds * 1000 >= milliseconds:
            break
        factor = min(10, 1.2 * milliseconds / max(seconds * 1000, 1e-3))
        repetitions = max(repetitions + 1, math.ceil(repetitions * factor))
    return statistics.median(clock(calls, repetitions, i * repetitions) / repetitions for i in range(samples))


def calls_of(item, sets, compiled):
    """One function without arguments per set of tensors."""
    forward = torch.compile(item.forward, dynamic=False) if compiled else item.forward
    calls = []
    for _ in range(sets):
        tensors = item.inputs()
        leaves = [t for t in tensors if isinstance(t, torch.Tensor) and t.requires_grad]
        if item.backward:
            y = forward(*tensors)
            dy = torch.randn_like(y)
            calls.append(lambda y=y, dy=dy, leaves=leaves: torch.autograd.grad(y, leaves, dy, retain_graph=True))
        elif item.both:
            dy = torch.randn_like(forward(*tensors))
            calls.append(lambda t=tensors, dy=dy, leaves=leaves: torch.autograd.grad(forward(*t), leaves, dy))
        else:
            calls.append(lambda t=tensors: forward(*t))
    return calls


def measure(request, sizes, device):
    """The answer to a case: seconds by mode, and why a mode failed."""
    make = CASES.get(request["name"])
    result, errors = {}, {}
    if make is None:
        return result
    for mode in request["modes"]:
        try:
            item = make(Context(sizes, request["dtype"], device))
            if mode == "compiled" and not item.compilable:
                continue
            calls = calls_of(item, request["sets"], mode == "compiled")
            with torch.set_grad_enabled(item.both):
                result[mode] = median_time(
                    Clock(device), calls, request.get("sampleMilliseconds", 20), request.get("samples", 5)
                )
        except Exception as error:  # Whatever fails in PyTorch must not end the benchmark.
            errors[mode] = f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"[:200]
        calls = item = None
        torch._dynamo.reset()
        gc.collect()
        if device == "cuda":
            torch.cuda.empty_cache()
    return {**result, "errors": errors} if errors else result


def dispatch(device, rounds=25, operations=2000):
    """Nanoseconds of one operation in place, and of one that is recorded for gradients."""
    a, b = torch.ones(1, device=device, requires_grad=True), torch.ones(1, device=device)

    def timed(body):
        times = []
        for index in range(rounds + 2):
            if device == "cuda":
                torch.cuda.synchronize()
            begin = time.perf_counter_ns()
            for _ in range(operations):
                body()
            if index >= 2:
                times.append((time.perf_counter_ns() - begin) / operations)
        return statistics.median(times)

    return {"nanosecondsPerCall": timed(lambda: b.fill_(1)), "nanosecondsPerOperation": timed(lambda: a + b)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=("cpu", "cuda"), required=True)
    parser.add_argument("--sizes", type=json.loads, required=True, help="shapes, as anneal's CaseSizes")
    parser.add_argument("--threads", type=int, default=1, help="of the CPU")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        sys.exit("this PyTorch finds no GPU")
    if options.device == "cpu":
        torch.set_num_threads(options.threads)
    # Gradients are asked for again and again on one graph, whose buffers must stay.
    torch._functorch.config.donated_buffer = False
    answers = sys.stdout
    # Whatever compilers print must not mix with the answers.
    sys.stdout = sys.stderr
    print(json.dumps({"torch": torch.__version__}), file=answers, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        answer = dispatch(options.device) if request.get("dispatch") else measure(request["case"], options.sizes, options.device)
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
