#!/usr/bin/env python3
"""export.py LIBRARY WORK: what the library writes for others, as they read it. ONNX files pass
onnx.checker and give in onnxruntime what bp_model_predict gives; numpy reads NPY and NPZ by the
bit; where torch and safetensors are, a Sequential loads what bp_model_save_torch writes, and the
library what a Sequential saves. Ends with 77, and the reason, where a module is missing."""
import ctypes
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "suites"))
try:
    import numpy as np
    import onnx
    import onnxruntime
    from library import Library, Refused
except ImportError as missing:
    print(f"not tested: {missing}")
    sys.exit(77)

ACTIVATIONS = ["relu", "leaky_relu", "leaky_relu=-0.3", "elu", "elu=0.5", "gelu", "gelu_tanh", "silu",
               "mish", "tanh", "scaled_tanh", "scaled_tanh=0.1", "sigmoid", "hard_sigmoid",
               "log_sigmoid", "softplus", "sin"]
GROUPS = ["", "batchnorm 5 tanh batchnorm=0.1", "layernorm 8 relu", "rmsnorm 8 layernorm=1e-3 tanh rmsnorm=0.1", "dropout=0.5 300 relu 3",
          "residual( )", "residual( layernorm 9 gelu dropout=0.2 6 )", "residual( 6 residual( rmsnorm ) silu )",
          "7 residual( residual( residual( 7 elu ) 7 ) layernorm ) residual( 7 )"]
IMAGES = ["6x5x3 conv3x3=8 relu pool=2 conv3x2=4,stride=2,groups=2 tanh 9 relu", "6x5x3 pool=3x2,stride=1",
          "6x5x3 residual( layernorm conv3x3=3,dilation=2 gelu rmsnorm=1e-3 ) avgpool=2x1 dropout=0.5 conv2x2=4,pad=1 7",
          "6x5x3 conv1x1=4,pad=2 layernorm silu globalpool layernorm 5 tanh", "6x5x3", "6x5x3 4 relu",
          "6x5x3 conv3x3=6,groups=3 leaky_relu avgpool=2 globalpool",
          "6x5x3 conv3x3=4 batchnorm relu residual( conv3x3=4 batchnorm=1e-2 tanh ) pool=2 5 batchnorm"]
INPUTS, PIXELS, ROWS = 6, 90, 200
lib = None


def make(function, *arguments):
    made = ctypes.c_void_p()
    getattr(lib, function)(*arguments, ctypes.byref(made))
    return made


def samples(rng):
    """Columns that are ordinary, constant, far from 0, and in units that f32 hardly has."""
    x = rng.standard_normal((ROWS, INPUTS))
    return (x * [1, 0, 1, 1e-3, 1e-41, 1e36] + [0, 7, 1e6, 100, 3e-41, -1e36]).astype(np.float32)


def model_of(layers, task, outputs, x, rng, normalize=True):
    """A model with weights, gains and biases that are all drawn, and its normalisers set."""
    model = make("bp_model_create_as", x.shape[1], layers.encode(), task, outputs)
    params = ctypes.c_void_p(lib.bp_model_params(model))
    for i in range(lib.bp_param_count(params)):
        t = lib.bp_param_at(params, i)
        shape = lib.shape(t)
        w = (rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:] or shape))).astype(np.float32)
        if ctypes.string_at(lib.bp_param_name(params, i)).endswith(b".variance"):
            w = np.abs(w) + np.float32(0.1)
        lib.bp_write(t, w.ctypes.data, w.nbytes)
    if normalize:
        data = make("bp_data_table", ROWS)
        y = rng.standard_normal((ROWS, outputs)) * 10.0 ** np.arange(outputs) + 1000
        if task == lib.BP_TASK_LABELS:
            y = y > 1000
        y = y.astype(np.uint8 if task == lib.BP_TASK_LABELS else np.float32)
        lib.bp_data_add(data, b"x", lib.BP_F32, x.shape[1:], x.ctypes.data)
        if task == lib.BP_TASK_CLASSES:
            classes = np.arange(ROWS, dtype=np.int32) % outputs
            names = (ctypes.c_char_p * outputs)(*[f"class {c}, 50 %".encode() for c in range(outputs)])
            lib.bp_data_add_classes(data, classes.ctypes.data, outputs, ctypes.addressof(names))
        else:
            lib.bp_data_add(data, b"y", lib.BP_U8 if task == lib.BP_TASK_LABELS else lib.BP_F32,
                            (outputs,), y.ctypes.data)
        lib.bp_model_tanh_targets(model, normalize is not True and task == lib.BP_TASK_LABELS)
        lib.bp_model_normalize_as(model, data, lib.BP_NORMALIZE_COLUMN if normalize is True else normalize)
        lib.bp_data_free(data)
    return model


def predict(model, x):
    p = np.empty((len(x), lib.bp_model_outputs(model)), np.float32)
    lib.bp_model_predict(model, x.ctypes.data, len(x), p.ctypes.data)
    return p


def near(got, want, what, tolerance=2e-6):
    """To a tolerance relative to each number, and to what its column spans."""
    span = np.ptp(want, axis=0).clip(1) if len(want) else 1
    off = np.abs(got - want) / (tolerance * (np.abs(want) + span)) if len(want) else np.zeros(0)
    if got.shape != want.shape or got.dtype != want.dtype or not (off <= 1).all():
        sys.exit(f"FAILED {what}: {got.shape} {off.max(initial=0)} times the tolerance")
    return off.max(initial=0)


def through_onnx(path, model, x, task, what, tolerance=2e-6):
    lib.bp_model_export_onnx(model, path.encode())
    proto = onnx.load(path)
    onnx.checker.check_model(proto, full_check=True)
    assert proto.SerializeToString() and proto.opset_import[0].version == 17, what
    said = {p.key: p.value for p in proto.metadata_props}
    assert said["task"] == {1: "classes", 2: "regression", 3: "labels"}[task], said
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [o.name for o in session.get_outputs()]
    assert names == (["y"] if task == lib.BP_TASK_REGRESSION else ["y", "logits"]), names
    worst = 0
    for n in (0, 1, 7, ROWS):
        worst = max(worst, near(session.run(["y"], {"x": x[:n]})[0], predict(model, x[:n]), what, tolerance))
    return worst, said


def onnx_files(path, rng):
    worst, files, mixed_rng = 0, 0, np.random.default_rng(5)
    x = samples(rng)
    plain = rng.standard_normal((ROWS, INPUTS)).astype(np.float32)
    tasks = [(lib.BP_TASK_CLASSES, 3), (lib.BP_TASK_REGRESSION, 4), (lib.BP_TASK_LABELS, 1)]
    pixels = rng.standard_normal((ROWS, PIXELS)).astype(np.float32)
    for layers in [f"8 {a} 5 {a}" for a in ACTIVATIONS] + GROUPS + IMAGES:
        images = layers in IMAGES
        for task, outputs in tasks:
            mixed = lib.BP_NORMALIZE_ZCA if task == lib.BP_TASK_LABELS else lib.BP_NORMALIZE_PCA
            for normalize in (True, False, mixed):
                drawn = mixed_rng if normalize is mixed else rng
                model = model_of(layers, task, outputs, pixels if images else x, drawn, normalize)
                what = f"ONNX of \"{layers}\", task {task}, {'' if normalize else 'not '}normalised"
                # Small variances are blown up before a layernorm meets them.
                tolerance = 1e-4 if normalize is mixed else 1e-5 if images else 2e-6
                off, said = through_onnx(path, model, pixels if images else x if normalize else plain,
                                         task, what, tolerance)
                assert said["layers"] == " ".join(layers.split()), said
                assert ("class_names" in said) == (bool(normalize) and task == lib.BP_TASK_CLASSES), said
                worst, files = max(worst, off), files + 1
                lib.bp_model_free(model)
    far = plain + 2000  # for a layernorm that meets it
    model = model_of("layernorm 8 relu", lib.BP_TASK_REGRESSION, 2, far, rng, normalize=False)
    through_onnx(path, model, far, lib.BP_TASK_REGRESSION, "a layernorm far from 0")
    print(f"{files} ONNX files: at most {worst:.2f} of the tolerance")


def numpy_files(path, rng):
    shapes = [(), (0,), (1,), (3, 0), (2, 3), (1, 2, 3, 4, 5, 6, 7, 8)]
    for dtype in (np.float32, np.float64, np.uint8, np.int32):
        for shape in shapes:
            a = (rng.standard_normal(shape) * 100).astype(dtype)
            with lib.scope():
                lib.bp_npy_save(lib.tensor(a), path.encode())
            got = np.load(path)
            assert got.dtype == a.dtype and got.shape == a.shape and (got == a).all(), (dtype, shape)
    for dtype, of in ((np.float32, lib.BP_F32), (np.float64, lib.BP_F64)):
        store = make("bp_params_create", of)
        want = {"layer1.weight": (300, 17), "a/b": (), "sch\u00f6n": (5,)}
        for name, shape in want.items():
            lib.bp_param(store, name.encode(), shape, lib.BP_INIT_HE)
        lib.bp_params_save_npz(store, path.encode())
        got = np.load(path)
        assert list(got) == list(want), list(got)
        for i, name in enumerate(want):
            a = lib.read(lib.bp_param_at(store, i))
            assert got[name].dtype == dtype and (got[name] == a).all(), name
            assert got[name].shape == want[name], name
        new = {name: got[name] + 1 for name in want}
        for save in (np.savez, np.savez_compressed):
            save(path + ".npz", **new)
            lib.bp_params_load_npz(store, (path + ".npz").encode(), None)
            for i, name in enumerate(want):
                assert (lib.read(lib.bp_param_at(store, i)) == new[name]).all(), name
        lib.bp_params_free(store)
    print("NPY and NPZ: by the bit")


def torch_files(path, rng):
    try:
        import torch
        from safetensors.torch import load_file, save_file
    except ImportError as missing:
        print(f"not tested: {missing}")
        return

    class Residual(torch.nn.Module):
        def __init__(self, *modules):
            super().__init__()
            self.body = torch.nn.Sequential(*modules)

        def forward(self, x):
            return x + self.body(x)

    nn = torch.nn
    text = "64 relu dropout=0.1 residual( layernorm 64 gelu residual( rmsnorm 64 silu ) ) 10 softplus"
    net = nn.Sequential(
        nn.Linear(INPUTS, 64), nn.ReLU(), nn.Dropout(0.1),
        Residual(nn.LayerNorm(64), nn.Linear(64, 64), nn.GELU(),
                 Residual(nn.RMSNorm(64, eps=1e-5), nn.Linear(64, 64), nn.SiLU())),
        nn.Linear(64, 10), nn.Softplus(), nn.Linear(10, 3)).eval()
    x = rng.standard_normal((ROWS, INPUTS)).astype(np.float32)
    model = model_of(text, lib.BP_TASK_REGRESSION, 3, x, rng, normalize=False)
    lib.bp_model_save_torch(model, path.encode())
    net.load_state_dict(load_file(path), strict=True)
    with torch.no_grad():
        off = near(net(torch.tensor(x)).numpy(), predict(model, x), "to torch", 1e-6)
        for p in net.parameters():
            p += torch.randn_like(p) / 8
        save_file(net.state_dict(), path)
        lib.bp_model_load_torch(model, path.encode())
        off = max(off, near(net(torch.tensor(x)).numpy(), predict(model, x), "from torch", 1e-6))
    lib.bp_model_free(model)
    text = ("6x5x3 conv3x2=8,pad=1,stride=2 relu pool=2x1 residual( conv3x3=8,groups=2 batchnorm tanh conv3x3=8 ) "
            "dropout=0.5 {} 10 relu")
    bodies = {"": [nn.Flatten(), nn.Linear(8 * 1 * 3, 10)],
              "globalpool": [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10)]}
    x = rng.standard_normal((ROWS, PIXELS)).astype(np.float32)
    for word, body in bodies.items():
        net = nn.Sequential(
            nn.Conv2d(3, 8, (3, 2), padding=1, stride=2), nn.ReLU(), nn.MaxPool2d((2, 1)),
            Residual(nn.Conv2d(8, 8, 3, padding=1, groups=2), nn.BatchNorm2d(8), nn.Tanh(),
                     nn.Conv2d(8, 8, 3, padding=1)),
            nn.Dropout(0.5), *body, nn.ReLU(), nn.Linear(10, 3)).eval()
        model = model_of(text.format(word), lib.BP_TASK_REGRESSION, 3, x, rng, normalize=False)
        lib.bp_model_save_torch(model, path.encode())
        net.load_state_dict(load_file(path), strict=True)
        images = torch.tensor(x.reshape(ROWS, 6, 5, 3)).permute(0, 3, 1, 2)
        with torch.no_grad():
            off = max(off, near(net(images).numpy(), predict(model, x), "images to torch", 1e-6))
            for p in net.parameters():
                p += torch.randn_like(p) / 8
            net[3].body[1].running_mean += 1
            net[3].body[1].running_var *= 2
            save_file(net.state_dict(), path)
            lib.bp_model_load_torch(model, path.encode())
            off = max(off, near(net(images).numpy(), predict(model, x), "images from torch", 1e-6))
        lib.bp_model_free(model)
    print(f"torch {torch.__version__}, both ways: at most {off:.2f} of the tolerance")


def main(path, work):
    global lib
    lib = Library(path)
    os.makedirs(work, exist_ok=True)
    onnxruntime.set_default_logger_severity(3)
    try:
        onnx_files(os.path.join(work, "model.onnx"), np.random.default_rng(1))
        numpy_files(os.path.join(work, "array"), np.random.default_rng(2))
        torch_files(os.path.join(work, "model.safetensors"), np.random.default_rng(3))
    except Refused as text:
        sys.exit(f"FAILED {text}")


if __name__ == "__main__":
    main(*sys.argv[1:])
