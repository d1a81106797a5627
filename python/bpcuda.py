"""Train neural networks with bpcuda from Python, by ctypes: this one file, and nothing to build.

    import bpcuda                                   # export PYTHONPATH=PREFIX/share/bpcuda
    ctx = bpcuda.Context()                          # "auto": the first GPU, else the CPU
    data, test = bpcuda.Data.digits(ctx).split(0.2)
    model = bpcuda.Model(ctx, 64, "64 relu", 10)
    model.normalize(data)
    bpcuda.Trainer(model, data, epochs=30).run()
    loss, accuracy = model.evaluate(test)
    p = numpy.from_dlpack(model.predict(images))    # or torch.from_dlpack, or .tolist()

Arrays come in from whatever has DLPack (NumPy, PyTorch, JAX, CuPy), from what has a buffer
(array.array, memoryview) and from nested lists; tensors go out by DLPack, without a copy (older
NumPy than 2.1 takes them for reading only, and does not give arrays that are for reading). What a
call does, and what can be wrong, is in the headers of the library: bp_model_predict() is
Model.predict(), and so on. What fails raises Error, with the library's own sentence.

The library is what load() is given, else what BPCUDA_LIBRARY names, else libbpcuda.so beside this
file or in the lib folder of the prefix it is installed in, else the system's. Python 3.8 or later.

An object frees itself when nothing names it, or at the end of a `with`; the order does not matter.
One thread at a time uses a context and what belongs to it: others get Error (busy)."""
import array
import collections
import ctypes
import glob
import itertools
import math
import os
import weakref
from ctypes import (POINTER, byref, c_char, c_char_p, c_double, c_float, c_int32, c_int64, c_size_t,
                    c_uint64, c_void_p)

_ELEMENTS = {'f32': c_float, 'f64': c_double, 'u8': ctypes.c_uint8, 'i32': c_int32}
_DTYPES = dict(zip(_ELEMENTS, itertools.count(1)))
_NAMES = {number: name for name, number in _DTYPES.items()}
_BUFFERS = {'f': 'f32', 'd': 'f64', 'B': 'u8', '?': 'u8', 'i': 'i32'}  # by the buffer's format
_TASKS = {'classes': 1, 'regression': 2, 'labels': 3}
_NORMALIZE = dict(zip('default none global column minmax pca zca'.split(), itertools.count(0)))
_OPTIONS = dict(zip('epochs batch lr seed l1 l2 decay_from rows epoch_steps parts patience eager '
                    'val optimizer clip_norm weight_decay batch_classes batch_per_class '
                    'emphasis max_norm mu lr_fan_in average average_from stop_gl stop_pq '
                    'stop_up stop_strip symmetric'.split(), itertools.count(1)))
_OPTIMIZERS = dict(zip('sgd nesterov adam adamw rmsprop adagrad lion diagonal_lm'.split(),
                       itertools.count(1)))
_ROWS = dict(zip('shuffled in_order weighted balanced stratified by_error'.split(),
                 itertools.count(0)))
_REAL, _ERR_ARG = 2, 2  # BP_TARGETS_REAL, BP_ERR_ARG
_TO_F32 = dict.fromkeys(_ELEMENTS, 'f32')


class _Shape(ctypes.Structure):
    _fields_ = [('ndim', c_int32), ('dim', c_int64 * 8)]

    def __init__(self, sizes):
        if len(sizes) > 8:
            raise ValueError(f'{len(sizes)} sizes; 8 at most')
        super().__init__(len(sizes), (c_int64 * 8)(*sizes))


class _Csv(ctypes.Structure):
    _fields_ = [('struct_bytes', c_size_t), ('header', c_int32), ('separator', c_char),
                ('label', c_char_p), ('targets', c_int32), ('skip', c_char_p), ('like', c_void_p),
                ('whole_classes', c_int32)]


class Progress(ctypes.Structure):
    """bp_progress: where a trainer is."""
    _fields_ = [(name, c_int64) for name in ('epoch', 'steps', 'epoch_steps')] + \
               [(name, c_double) for name in ('loss', 'accuracy', 'seconds', 'valid_loss',
                                              'valid_accuracy', 'best_loss')] + \
               [('best_epoch', c_int64), ('rate', c_double), ('stopped_by', c_int32)]


_NEW = POINTER(c_void_p)
_PROTOTYPES = {
    c_int32: {  # a status, or a small number
        'bp_open': [c_char_p, _NEW], 'bp_seed': [c_void_p, c_uint64],
        'bp_set_threads': [c_void_p, c_int32],
        'bp_write': [c_void_p, c_void_p, c_size_t], 'bp_read': [c_void_p, c_void_p, c_size_t],
        'bp_read_f32': [c_void_p, c_void_p, c_int64], 'bp_copy_into': [c_void_p, c_void_p],
        'bp_dtype_of': [c_void_p],
        'bp_dlpack_export': [c_void_p, _NEW], 'bp_dlpack_export_legacy': [c_void_p, _NEW],
        'bp_dlpack_import': [c_void_p, c_void_p, _NEW],
        'bp_dlpack_import_legacy': [c_void_p, c_void_p, _NEW],
        'bp_data_table': [c_void_p, c_int64, _NEW],
        'bp_data_add': [c_void_p, c_char_p, c_int32, _Shape, c_void_p],
        'bp_data_add_classes': [c_void_p, c_void_p, c_int32, c_void_p],
        'bp_data_digits': [c_void_p, _NEW],
        'bp_data_csv': [c_void_p, c_char_p, POINTER(_Csv), _NEW],
        'bp_data_split': [c_void_p, c_double, c_uint64, _NEW, _NEW],
        'bp_model_create_as': [c_void_p, c_int64, c_char_p, c_int32, c_int64, _NEW],
        'bp_model_load': [c_void_p, c_char_p, _NEW], 'bp_model_save': [c_void_p, c_char_p],
        'bp_model_normalize_as': [c_void_p, c_void_p, c_int32],
        'bp_model_predict': [c_void_p, c_void_p, c_int64, c_void_p],
        'bp_model_evaluate': [c_void_p, c_void_p, POINTER(c_double), POINTER(c_double)],
        'bp_param_count': [c_void_p],
        'bp_trainer_create': [c_void_p, c_void_p, _NEW],
        'bp_trainer_set': [c_void_p, c_int32, c_double],
        'bp_trainer_augment': [c_void_p, c_char_p],
        'bp_trainer_schedule': [c_void_p, c_char_p], 'bp_trainer_validate': [c_void_p, c_void_p],
        'bp_trainer_best': [c_void_p], 'bp_trainer_average': [c_void_p],
        'bp_trainer_run': [c_void_p, c_int64, c_double, POINTER(c_int32)],
        'bp_trainer_save': [c_void_p, c_char_p, c_int32], 'bp_trainer_resume': [c_void_p, c_char_p]
    },
    c_int64: {'bp_data_rows': [c_void_p], 'bp_model_inputs': [c_void_p],
              'bp_model_outputs': [c_void_p]},
    c_char_p: {'bp_error_text': [c_void_p], 'bp_device_text': [c_void_p],
               'bp_param_name': [c_void_p, c_int32]},
    c_void_p: {'bp_tensor_create': [c_void_p, c_int32, _Shape],
               'bp_data_column': [c_void_p, c_char_p], 'bp_model_params': [c_void_p],
               'bp_param_at': [c_void_p, c_int32]},
    _Shape: {'bp_shape_of': [c_void_p]},
    None: {'bp_close': [c_void_p], 'bp_free': [c_void_p], 'bp_data_free': [c_void_p],
           'bp_model_free': [c_void_p], 'bp_trainer_free': [c_void_p],
           'bp_trainer_stop': [c_void_p],
           'bp_progress_of': [c_void_p, POINTER(Progress), c_size_t]},
}

_library = None


def _candidates():
    if os.environ.get('BPCUDA_LIBRARY'):
        return [os.environ['BPCUDA_LIBRARY']]
    here = os.path.dirname(os.path.abspath(__file__))
    prefix = os.path.join(here, '..', '..')
    folders = [here, os.path.join(prefix, 'lib*'), os.path.join(prefix, 'lib', '*')]
    return [path for folder in folders
            for path in glob.glob(os.path.join(folder, 'libbpcuda.so'))] + ['libbpcuda.so.0']


def _checked(kind):
    """An argument of this C type; an integer that does not fit is a ctypes.ArgumentError: by itself
    ctypes takes its lowest bits."""
    if kind not in (c_int32, c_int64, c_uint64):
        return kind

    class Checked(kind):
        @classmethod
        def from_param(cls, value):
            if isinstance(value, int) and kind(value).value != value:
                raise OverflowError(f'{value} does not fit into {kind.__name__[2:]}')
            return kind.from_param(value)
    return Checked


def load(path=None):
    """The library, opened at the first call; `path` is looked at then."""
    global _library
    if _library is None:
        paths = [os.fspath(path)] if path else _candidates()
        library = ctypes.CDLL(paths[0])
        for result, functions in _PROTOTYPES.items():
            for name, arguments in functions.items():
                function = getattr(library, name)
                function.restype = result
                function.argtypes = [_checked(kind) for kind in arguments]
        _library = library
    return _library


class Error(RuntimeError):
    """What the library says; `status` is its bp_status."""

    def __init__(self, status, text):
        super().__init__(text)
        self.status = status


def _number(names, word, what):
    if word not in names:
        raise ValueError(f'{what} is {word!r}; one of {", ".join(names)} is wanted')
    return names[word]


def _end(state):
    """Frees once, whoever is first, and before it what uses it. States name states and no objects:
    in whatever order those go, the library sees the right one."""
    for user in list(state['users'].values()):
        _end(user)
    for used in state['uses']:
        used['users'].pop(id(state), None)
    pointer = state.pop('pointer', None)
    if pointer and (state['within'] is None or 'pointer' in state['within']):
        getattr(_library, state['free'])(pointer)


class _Object:
    """Something of the library's, which the function `_free` frees. ctypes takes it where a pointer
    is wanted: NULL, which the library refuses in words, once it or its context is closed."""
    _free = None
    _goes_with_context = False

    def _own(self, context, pointer, *uses):
        self.context, self._uses = context, uses
        self._state = {'pointer': pointer, 'free': self._free, 'users': {},
                       'uses': [used._state for used in uses],
                       'within': context._state if self._goes_with_context else None}
        self._finalizer = weakref.finalize(self, _end, self._state)
        for used in uses:
            used._state['users'][id(self._state)] = self._state

    @classmethod
    def _made(cls, context, pointer):
        new = cls.__new__(cls)
        new._own(context, pointer)
        return new

    def close(self):
        """Frees it now, and before it what uses it."""
        self._finalizer()

    @property
    def _as_parameter_(self):
        there = self.context is None or 'pointer' in self.context._state
        return self._state.get('pointer') if there else None

    def _check(self, status):
        if status:
            text = _library.bp_error_text(self.context or self)
            raise Error(status, text.decode(errors='replace'))

    def _new(self, function, *arguments):
        made = c_void_p()
        self._check(function(*arguments, byref(made)))
        return made.value

    def __reduce_ex__(self, _):
        raise TypeError('%s is the library\'s: it cannot be copied or pickled' % type(self).__name__)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Context(_Object):
    """A device: "auto", "cpu", "cuda:0", ... Closing it ends all that belongs to it; only memory
    that others still share stays for them."""
    _free = 'bp_close'

    def __init__(self, device='auto', seed=0, threads=0):
        opened = c_void_p()
        status = load().bp_open(device.encode(), byref(opened))
        self._own(None, opened.value)
        try:
            self._check(status)
            self._check(_library.bp_seed(self, seed))
            self._check(_library.bp_set_threads(self, threads))
        except Error:
            self.close()
            raise
        kind, _, number = self.device.split()[0].rstrip(':').partition(':')
        self._dlpack_device = {'cpu': 1, 'cuda': 2, 'sim': 12}[kind], int(number or 0)
        self._beside = None

    @property
    def device(self):
        return _library.bp_device_text(self).decode()

    def from_dlpack(self, x):
        """A Tensor over the memory of x, which stays x's too: bp_dlpack_import()."""
        place = {} if tuple(x.__dlpack_device__())[0] == 1 else {'stream': 1}
        try:
            capsule = x.__dlpack__(max_version=(1, 1), **place)
        except TypeError:  # a producer of before DLPack 1
            capsule = x.__dlpack__(**place)
        return Tensor(self, _consumed(self, capsule))

    def tensor(self, x):
        """A Tensor with a copy of an array, a buffer, or nested lists of numbers (f64)."""
        return self._filled(*self._packed(x))

    def _filled(self, values, dtype, shape):
        t = Tensor(self, _library.bp_tensor_create(self, _DTYPES[dtype], _Shape(shape)))
        self._check(_library.bp_write(t, values, ctypes.sizeof(values)))
        return t

    @property
    def _on_host(self):
        """A context of the host's memory: this one, or one beside it."""
        if self._dlpack_device[0] == 1:
            return self
        self._beside = self._beside or Context('cpu')
        return self._beside

    def _packed(self, x, convert={}):
        """x in packed host memory, as (ctypes array, dtype, shape); of dtypes in `convert`, what
        that says."""
        shares = hasattr(x, '__dlpack__')
        values, dtype, shape = (None, None, None) if shares else _from_buffer(x)
        if shares or dtype in convert:
            here = shares and tuple(x.__dlpack_device__()) == self._dlpack_device
            on = self if here else self._on_host
            with on.from_dlpack(x) if shares else on._filled(values, dtype, shape) as t:
                shape, dtype = t.shape, convert.get(t.dtype, t.dtype)
                values = t._read(dtype)
        return values, dtype, shape


class Tensor(_Object):
    """Memory of a context's device, which NumPy, PyTorch and others share: numpy.from_dlpack(t)."""
    _free = 'bp_free'
    _goes_with_context = True

    def __init__(self, context, pointer, *uses):
        self._own(context, pointer, *uses)
        self._check(0 if pointer else _ERR_ARG)  # of an op that failed the text says why

    @property
    def shape(self):
        shape = _library.bp_shape_of(self)
        return tuple(shape.dim[:shape.ndim])

    @property
    def dtype(self):
        """'f32', 'f64', 'u8' or 'i32'."""
        return _NAMES.get(_library.bp_dtype_of(self))

    def _read(self, dtype):
        if dtype is None:
            raise Error(_ERR_ARG, 'the tensor, or its context, is closed')
        values = (_ELEMENTS[dtype] * math.prod(self.shape))()
        if dtype == self.dtype:
            self._check(_library.bp_read(self, values, ctypes.sizeof(values)))
        else:
            self._check(_library.bp_read_f32(self, values, len(values)))
        return values

    def tolist(self):
        """Nested lists; a number where the shape is ()."""
        values = iter(self._read(self.dtype))

        def nested(shape):
            return [nested(shape[1:]) for _ in range(shape[0])] if shape else next(values)
        return nested(self.shape)

    def __dlpack_device__(self):
        return self.context._dlpack_device

    def __dlpack__(self, *, stream=None, max_version=None, dl_device=None, copy=None):
        """The protocol. The export waits for the device, so that any stream is right."""
        if dl_device is not None and tuple(dl_device) != self.__dlpack_device__():
            raise BufferError(f'the tensor stays on {self.context.device}')
        form = _FORMS[0 if max_version and max_version[0] >= 1 else 1]
        try:
            source = self._copy() if copy else self
            managed = self._new(getattr(_library, form.export), source)
        except Error as error:
            raise BufferError(str(error)) from error
        if copy and form is _FORMS[0]:
            c_uint64.from_address(managed + _FLAGS).value |= _IS_COPIED
        return _capsule_new(managed, form.name, _unconsumed)

    def _copy(self):
        copy = Tensor(self.context, _library.bp_tensor_create(
            self.context, _library.bp_dtype_of(self), _Shape(self.shape)))
        self._check(_library.bp_copy_into(copy, self))
        return copy


class Data(_Object):
    """Rows of named columns: "x", the samples, and "y". x is f32, f64 (which becomes f32) or u8. y
    of integers is classes, 0 .. classes - 1, one a row, or labels of 0 and 1, k a row; y of real
    numbers is targets. More columns by their names: weight=..."""
    _free = 'bp_data_free'

    def __init__(self, context, x, y=None, classes=None, **columns):
        column = context._packed(x, {'f64': 'f32'})
        rows = column[2][0] if column[2] else 0
        self._own(context, context._new(_library.bp_data_table, context, rows))
        self._add('x', *column)
        if y is not None:
            self._add_targets(y, classes)
        for name, values in columns.items():
            self._add(name, *context._packed(values, {'f64': 'f32'}))

    def _add(self, name, values, dtype, shape):
        if shape[:1] != (len(self),):
            raise ValueError(f'the shape of "{name}" is {shape}; {len(self)} rows are wanted')
        self._check(_library.bp_data_add(self, name.encode(), _DTYPES[dtype], _Shape(shape[1:]),
                                         values))

    def _add_targets(self, y, classes):
        real = 'float' in str(getattr(y, 'dtype', ''))
        flat, shape = ((), ()) if real else _flat(y.tolist() if hasattr(y, 'tolist') else y)
        if real or any(isinstance(v, float) for v in flat):
            self._add('y', *self.context._packed(y, {'f64': 'f32'}))
        elif len(shape) > 1:
            self._add('y', *_from_buffer(array.array('B', flat))[:2], shape)
        elif shape != (len(self),):
            raise ValueError(f'the shape of "y" is {shape}; {len(self)} rows are wanted')
        else:
            labels = _from_buffer(array.array('i', flat))[0]
            self._check(_library.bp_data_add_classes(
                self, labels, max(flat) + 1 if classes is None else classes, None))

    @classmethod
    def digits(cls, context):
        """1,797 handwritten digits of 8 x 8, which come with the library."""
        return cls._made(context, context._new(_library.bp_data_digits, context))

    @classmethod
    def csv(cls, context, path, label=None, skip=None, regression=False, like=None):
        """A table in text: bp_csv in data.h says what label, skip and like are."""
        options = _Csv(ctypes.sizeof(_Csv), label=None if label is None else str(label).encode(),
                       targets=_REAL if regression else 0, skip=skip and skip.encode(),
                       like=None if like is None else like._as_parameter_)
        return cls._made(context, context._new(_library.bp_data_csv, context, os.fsencode(path),
                                               options))

    def split(self, fraction, seed=0):
        """(first, second): of each class, `fraction` is in the second."""
        first = c_void_p()
        second = self._new(_library.bp_data_split, self, fraction, seed, byref(first))
        return self._made(self.context, first.value), self._made(self.context, second)

    def column(self, name):
        """The Tensor of a column, which belongs to the data."""
        return Tensor(self.context, _library.bp_data_column(self, name.encode()), self)

    def __len__(self):
        return _library.bp_data_rows(self)


class Model(_Object):
    """A chain of layers from a text (layers.h), with a task: "classes", "regression", "labels"."""
    _free = 'bp_model_free'

    def __init__(self, context, inputs, layers, outputs, task='classes'):
        self._own(context, context._new(_library.bp_model_create_as, context, inputs,
                                        layers.encode(), _number(_TASKS, task, 'task'), outputs))

    @classmethod
    def load(cls, context, path):
        return cls._made(context, context._new(_library.bp_model_load, context, os.fsencode(path)))

    def save(self, path):
        self._check(_library.bp_model_save(self, os.fsencode(path)))

    def normalize(self, data, how='default'):
        self._check(_library.bp_model_normalize_as(self, data, _number(_NORMALIZE, how, 'how')))

    def predict(self, x):
        """Of raw samples x [n, ...] a Tensor [n, outputs], of one sample a Tensor [outputs], in host
        memory. A sample has as many numbers as the model has inputs, in any shape."""
        values, _, shape = self.context._packed(x, _TO_F32)
        inputs, outputs = _library.bp_model_inputs(self), _library.bp_model_outputs(self)
        one = len(shape) < 2 or shape[0] != 1 and len(values) == inputs
        rows = 1 if one else shape[0]
        if self._as_parameter_ and rows * inputs != len(values):
            raise ValueError(f'the shape of x is {shape}; rows of {inputs} numbers are wanted')
        p = (c_float * (rows * outputs))()
        self._check(_library.bp_model_predict(self, values, rows, p))
        return self.context._on_host._filled(
            p, 'f32', (outputs,) if one else (rows, outputs))

    def evaluate(self, data):
        """(mean loss, share of rows that are right)."""
        loss, accuracy = c_double(), c_double()
        self._check(_library.bp_model_evaluate(self, data, byref(loss), byref(accuracy)))
        return loss.value, accuracy.value

    @property
    def parameters(self):
        """The Tensors of the parameters by name, which belong to the model."""
        store = _library.bp_model_params(self)
        return {_library.bp_param_name(store, i).decode():
                Tensor(self.context, _library.bp_param_at(store, i), self)
                for i in range(_library.bp_param_count(store))}


class Trainer(_Object):
    """Trains a model. Options are those of bp_trainer_set() by name, such as batch=64, lr=0.005,
    val=0.1, patience=5, optimizer="adamw"; schedule="warmup=2 cosine=0.01"; validate=data; of
    images augment="shift=2 flip"."""
    _free = 'bp_trainer_free'

    def __init__(self, model, data, schedule=None, validate=None, augment=None, **options):
        self._own(model.context, model._new(_library.bp_trainer_create, model, data), model, data,
                  *([] if validate is None else [validate]))
        if schedule is not None:
            self._check(_library.bp_trainer_schedule(self, schedule.encode()))
        if augment is not None:
            self._check(_library.bp_trainer_augment(self, augment.encode()))
        if validate is not None:
            self._check(_library.bp_trainer_validate(self, validate))
        for name, value in options.items():
            self.set(name, value)

    def set(self, name, value):
        words = {'optimizer': _OPTIMIZERS, 'rows': _ROWS}.get(name)
        if words and isinstance(value, str):
            value = _number(words, value, name)
        self._check(_library.bp_trainer_set(self, _number(_OPTIONS, name, 'an option'), value))

    def run(self, steps=-1, seconds=-1):
        """True where all epochs are done; else the next call goes on."""
        done = c_int32()
        self._check(_library.bp_trainer_run(self, steps, seconds, byref(done)))
        return bool(done.value)

    def stop(self):
        """From any thread: run() ends with Error (stopped) after its step."""
        _library.bp_trainer_stop(self)

    def best(self):
        """Puts the weights of the best epoch into the model."""
        self._check(_library.bp_trainer_best(self))

    def average(self):
        """Puts the mean of the weights into the model, where average=0.999, say, keeps one."""
        self._check(_library.bp_trainer_average(self))

    @property
    def progress(self):
        now = Progress()
        _library.bp_progress_of(self, byref(now), ctypes.sizeof(now))
        return now

    def save(self, path, keep=1):
        self._check(_library.bp_trainer_save(self, os.fsencode(path), keep))

    def resume(self, path):
        self._check(_library.bp_trainer_resume(self, os.fsencode(path)))


# --- host memory ----------------------------------------------------------------------------------

def _flat(x):
    """The numbers of nested lists, and their shape."""
    if not isinstance(x, (list, tuple)):
        return [x], ()
    parts = [_flat(row) for row in x]
    shapes = {shape for _, shape in parts} or {()}
    if len(shapes) > 1:
        raise ValueError(f'rows of different shapes: {", ".join(map(str, sorted(shapes)))}')
    return [v for flat, _ in parts for v in flat], (len(x), *shapes.pop())


def _from_buffer(x):
    shape = None
    if isinstance(x, (list, tuple, int, float)):
        flat, shape = _flat(x)
        x = array.array('d', flat)
    view = memoryview(x)
    dtype = _BUFFERS.get(view.format)
    if not dtype:
        raise TypeError(f'elements of format {view.format!r}; one of {" ".join(_BUFFERS)} is '
                        'wanted')
    values = (_ELEMENTS[dtype] * (view.nbytes // view.itemsize)).from_buffer_copy(view.tobytes())
    return values, dtype, view.shape if shape is None else shape


# --- DLPack's capsules ----------------------------------------------------------------------------

_Form = collections.namedtuple('_Form', 'name used export take deleter')  # deleter: where it is
_FORMS = (_Form(b'dltensor_versioned', b'used_dltensor_versioned', 'bp_dlpack_export',
                'bp_dlpack_import', 16),
          _Form(b'dltensor', b'used_dltensor', 'bp_dlpack_export_legacy', 'bp_dlpack_import_legacy',
                56))
_FLAGS, _IS_COPIED = 24, 2  # of the first form


def _of_python(name, result, *arguments):
    return ctypes.PYFUNCTYPE(result, *arguments)((name, ctypes.pythonapi))


_capsule_new = _of_python('PyCapsule_New', ctypes.py_object, c_void_p, c_char_p, c_void_p)
_capsule_is = _of_python('PyCapsule_IsValid', c_int32, c_void_p, c_char_p)  # by id(): see _delete
_capsule_get = _of_python('PyCapsule_GetPointer', c_void_p, c_void_p, c_char_p)
_capsule_rename = _of_python('PyCapsule_SetName', c_int32, c_void_p, c_char_p)


def _consumed(context, capsule):
    for form in _FORMS:
        if _capsule_is(id(capsule), form.name):
            t = context._new(getattr(_library, form.take), context,
                             _capsule_get(id(capsule), form.name))
            _capsule_rename(id(capsule), form.used)
            return t
    raise TypeError('__dlpack__() gave something that is no capsule of DLPack')


def _delete(capsule, forms=_FORMS, is_a=_capsule_is, get=_capsule_get, pointer=c_void_p,
            function=ctypes.CFUNCTYPE(None, c_void_p)):
    """The end of a capsule, which by now has no references: deletes what nobody has consumed. It
    may be called when this module has gone, so it names nothing of it."""
    for form in forms:
        if is_a(capsule, form.name):
            managed = get(capsule, form.name)
            function(pointer.from_address(managed + form.deleter).value)(managed)


_at_end = ctypes.PYFUNCTYPE(None, c_void_p)(_delete)
_unconsumed = ctypes.cast(_at_end, c_void_p)
for _stays in (_at_end, *(name for form in _FORMS for name in (form.name, form.used))):
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(_stays))
