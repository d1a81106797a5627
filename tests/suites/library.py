"""libbpcuda through ctypes: the calls and constants are read from the headers, so that a new op is
there by itself.

    lib = Library("build/release/libbpcuda.so", "cpu")
    with lib.scope():
        x = lib.leaf(numpy_array)                    # asks for a gradient
        y = lib.bp_exp(x)                            # an op; a context as argument is left out
        dx, = lib.grad(y, [x], lib.tensor(dy))
        print(lib.read(dx))

What a scope makes ends with it, so do the tensors made here."""

import argparse
import contextlib
import ctypes as C
import glob
import os
import re
import textwrap

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
HEADERS = os.environ.get("BPCUDA_HEADERS") or os.path.join(HERE, "..", "..", "include", "bpcuda")


class Absent(Exception):
    """What is wanted is not in the library: the reason, in few words. No failure."""


class Refused(Exception):
    """The library said no: its text."""


class Tensor(int):
    """A handle."""


class Shape(C.Structure):
    _fields_ = [("ndim", C.c_int32), ("dim", C.c_int64 * 8)]


def shape(sizes):
    if len(sizes) > 8:
        raise Absent("more than 8 axes")
    return Shape(len(sizes), (C.c_int64 * 8)(*[int(s) for s in sizes]))


DTYPES = {np.dtype("f4"): 1, np.dtype("f8"): 2, np.dtype("u1"): 3, np.dtype("i4"): 4}
NUMPY = {v: k for k, v in DTYPES.items()}
TYPES = {
    "int32_t": C.c_int32,
    "int64_t": C.c_int64,
    "uint32_t": C.c_uint32,
    "uint64_t": C.c_uint64,
    "size_t": C.c_size_t,
    "double": C.c_double,
    "float": C.c_float,
    "bp_shape": Shape,
    "void": None,
}


def headers():
    """The calls {name: (type, [types of arguments])} and the constants {name: value} of the
    public headers."""
    calls, constants = {}, {}
    for path in sorted(glob.glob(os.path.join(HEADERS, "*.h"))):
        text = re.sub(r"/\*.*?\*/", " ", open(path, encoding="utf-8").read(), flags=re.S)
        for kind, name, arguments in re.findall(
            r"BP_API\s+([^;{(]*?)(\w+)\(([^;{]*?)\)(?:\s+BP_USE)?\s*;", text, re.S
        ):
            parts = [" ".join(a.split()) for a in arguments.split(",")]
            calls[name] = (
                " ".join(kind.split()),
                [re.sub(r"\w+$", "", p).strip() for p in parts if p != "void"],
            )
        for body in re.findall(r"enum\s*\w*\s*\{([^}]*)\}", text):
            last = -1
            for entry in filter(None, (e.strip() for e in body.split(","))):
                name, _, value = (p.strip() for p in entry.partition("="))
                try:
                    last = eval(value, {}, constants) if value else last + 1
                except (NameError, SyntaxError):
                    continue  # of another language's part
                constants[name] = last
    return calls, constants


class Library:
    def __init__(self, path, device="cpu"):
        self.so = C.CDLL(os.path.abspath(path))
        self.calls, constants = headers()
        self.__dict__.update(constants)
        self.ctx, self.made, self.ops = C.c_void_p(), [], 0  # ops: how many were called
        self.so.bp_error_text.restype = self.so.bp_device_text.restype = (
            self.so.bp_version.restype
        ) = C.c_char_p
        if self.so.bp_open(device.encode(), C.byref(self.ctx)):
            raise SystemExit(self.text())

    def text(self):
        return self.so.bp_error_text(self.ctx).decode()

    def about(self):
        return (
            f"bpcuda {self.so.bp_version().decode()} on {self.so.bp_device_text(self.ctx).decode()}"
        )

    def __getattr__(self, name):
        """A public call. An op gives a handle; one that fills pointers gives what they got,
        after its result."""
        if name.startswith("BP_"):
            raise Absent(f"no {name}")
        if not name.startswith("bp_"):
            raise AttributeError(name)
        try:
            function, (kind, arguments) = getattr(self.so, name), self.calls[name]
        except (AttributeError, KeyError):
            raise Absent(f"no {name}") from None
        if arguments and arguments[0] == "bp_context *":
            arguments = arguments[1:]
            lead = [self.ctx]
        else:
            lead = []
        function.restype = C.c_void_p if kind.endswith("*") else TYPES.get(kind, C.c_int32)

        def call(*given):
            passed, got, given = list(lead), [], list(given)
            for of in arguments:
                if of == "bp_tensor **" and not (given and isinstance(given[0], C.Array)):
                    got.append(C.c_void_p())
                    passed.append(C.byref(got[-1]))
                    continue
                passed.append(self.argument(name, of, given.pop(0)))
            if given:
                raise TypeError(f"{name}: {len(given)} arguments too many")
            result = function(*passed)
            self.ops += kind == "bp_tensor *" and name != "bp_tensor_create"
            if kind == "bp_status" and result or kind == "bp_tensor *" and not result:
                raise Refused(self.text())
            result = Tensor(result) if kind == "bp_tensor *" else result
            return [result] + [Tensor(g.value) for g in got] if got else result

        return call

    @staticmethod
    def argument(name, of, value):
        if of in TYPES:
            return (
                value
                if of == "bp_shape" and isinstance(value, Shape)
                else shape(value) if of == "bp_shape" else TYPES[of](value)
            )
        if "*" not in of:
            return C.c_int32(value)  # an enum
        if isinstance(value, (list, tuple)):  # an array of handles or numbers
            item = (
                C.c_void_p
                if "bp_" in of
                else TYPES[of.replace("const", "").replace("*", "").strip()]
            )
            return (item * max(1, len(value)))(*value)
        if value is None or isinstance(value, int):
            return C.c_void_p(value)
        return value

    @contextlib.contextmanager
    def scope(self, flags=0):
        """A scope, outermost: it ends with its tensors, and its pending error with it."""
        if self.so.bp_scope_begin(self.ctx, C.c_uint32(flags)):
            raise SystemExit(self.text())
        try:
            yield
        finally:
            self.so.bp_sync(
                self.ctx
            )  # what kernels found wrong is this scope's, not the next one's
            for t in self.made:
                self.so.bp_free(C.c_void_p(t))
            self.made.clear()
            self.status = self.so.bp_scope_end(self.ctx)

    def tensor(self, a):
        """A tensor of an array's values. int64 goes as i32 where the values allow, bool as u8."""
        a = np.array(a, order="C", copy=True)
        if a.dtype == np.int64 and (a.size == 0 or abs(a).max() < 1 << 31):
            a = a.astype(np.int32)
        if a.dtype == np.bool_:
            a = a.astype(np.uint8)
        if a.dtype not in DTYPES:
            raise Absent(f"dtype {a.dtype}")
        t = self.bp_tensor_create(DTYPES[a.dtype], a.shape)
        self.made.append(t)
        self.bp_write(t, a.ctypes.data, a.nbytes)
        return t

    def leaf(self, a):
        return self.bp_require_grad(self.tensor(a))

    def number(self, value, like):
        """A number as a tensor [] of the dtype of `like`."""
        return self.tensor(np.array(value, NUMPY[self.dtype(like)]))

    def shape(self, t):
        self.so.bp_shape_of.restype = Shape
        s = self.so.bp_shape_of(C.c_void_p(t))
        return tuple(s.dim[: s.ndim])

    def dtype(self, t):
        return self.so.bp_dtype_of(C.c_void_p(t))

    def read(self, t):
        a = np.empty(self.shape(t), NUMPY[self.dtype(t)])
        self.bp_read(t, a.ctypes.data, a.nbytes)
        return a

    def axes(self, t, axes=None):
        """A mask of axes; of all where none is named."""
        n = len(self.shape(t))
        if axes is None:
            return (1 << n) - 1
        return sum(1 << (int(a) % n) for a in axes) if n else 0

    def grad(self, y, xs, dy, create_graph=False):
        dx = (C.c_void_p * max(1, len(xs)))()
        self.bp_grad(y, dy, list(xs), len(xs), self.BP_CREATE_GRAPH if create_graph else 0, dx)
        return [Tensor(dx[i]) for i in range(len(xs))]

    def of_dtype(self):
        """Whether the scope that ended was refused for a dtype: that is a kernel that is absent,
        no failure."""
        return self.status in (self.BP_ERR_DTYPE, self.BP_ERR_UNSUPPORTED)


def markers(path, name, text):
    """Puts `text` between the lines <!-- name --> and <!-- end of name --> of a page."""
    page = open(path, encoding="utf-8").read()
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->\n"
    if begin not in page or end not in page:
        raise SystemExit(f"{path} has no place for {name}")
    head, rest = page.split(begin, 1)
    with open(path, "w", encoding="utf-8") as out:
        out.write(head + begin + text + end + rest.split(end, 1)[1])


def table(head, rows):
    """A table of a page."""
    line = "| {} |\n".format
    return (
        line(" | ".join(head))
        + line("|".join("---" for _ in head)).replace(" ", "")
        + "".join(line(" | ".join(str(c) for c in row)) for row in rows)
    )


def asked():
    """What a program of these suites was given, and its library."""
    ask = argparse.ArgumentParser()
    ask.add_argument("library")
    ask.add_argument("device", nargs="?", default="cpu")
    ask.add_argument("-v", action="store_true")
    ask.add_argument("--only")
    ask.add_argument("--page")
    given = ask.parse_args()
    return given, Library(given.library, given.device)


def paragraph(text):
    """Lines of a page."""
    return textwrap.fill(text, 128, break_long_words=False, break_on_hyphens=False) + "\n\n"
