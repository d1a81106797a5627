#!/usr/bin/env python3
"""python/bpcuda.py: test_bpcuda.py MODULE LIBRARY SOURCE [DEVICE]. Memory shared with NumPy and
PyTorch, who holds it and until when, training from arrays, and that the prototypes are those of the
headers. Exits with 77 where there is no NumPy 2.1; without PyTorch those tests are skipped."""
import array
import copy
import ctypes
import gc
import os
import pickle
import re
import subprocess
import sys
import tempfile
import threading
import unittest
import weakref

MODULE, LIBRARY, SOURCE = sys.argv[1:4]
DEVICE = sys.argv[4] if len(sys.argv) > 4 else 'cpu'
sys.path.insert(0, os.path.dirname(MODULE))

import bpcuda  # noqa: E402

try:
    import numpy as np
    np.from_dlpack(np.zeros(1), copy=True)
except (ImportError, TypeError):
    print(f'skipped: {sys.executable} has no NumPy of version 2.1 or later')
    sys.exit(77)
try:
    import torch
except ImportError:
    torch = None
needs_torch = unittest.skipUnless(torch, f'{sys.executable} has no PyTorch')


class Followed(np.ndarray):
    """An array that a weak reference can follow."""


def followed(a):
    a = a.view(Followed)
    return a, weakref.ref(a)


class Case(unittest.TestCase):
    device = 'cpu'

    def setUp(self):
        self.ctx = bpcuda.Context(self.device, seed=1)

    def tearDown(self):
        self.ctx.close()

    def refused(self, text, call, *arguments, error=bpcuda.Error, **named):
        with self.assertRaises(error) as caught:
            call(*arguments, **named)
        self.assertIn(text, str(caught.exception))
        return caught.exception


class Sharing(Case):
    def test_memory_is_one_in_and_out(self):
        for dtype in 'float32', 'float64', 'uint8', 'int32':
            a = np.arange(6).astype(dtype).reshape(2, 3)
            t = self.ctx.from_dlpack(a)
            b = np.from_dlpack(t)
            self.assertEqual((b.ctypes.data, b.shape, b.strides, b.dtype),
                             (a.ctypes.data, a.shape, a.strides, a.dtype))
            b[1, 2] = 77
            self.assertEqual(t.tolist(), [[0, 1, 2], [3, 4, 77]])
            self.assertEqual(t.shape, (2, 3))

    def test_any_strides_and_shapes(self):
        a = np.arange(24.0).reshape(2, 3, 4)
        for b in a.T, a[::-1], a[:, ::2, ::-3], np.broadcast_to(a, (2, 2, 3, 4)), a[0, 0, 0], \
                a[:0], a[1:, 1:2], np.lib.stride_tricks.sliding_window_view(a[0, 0], 2):
            t = self.ctx.from_dlpack(np.asarray(b))
            self.assertEqual(t.tolist(), b.tolist())
            np.testing.assert_array_equal(np.from_dlpack(t), b)

    def test_reading_only_stays_reading_only(self):
        a = np.arange(3.0)
        a.flags.writeable = False
        t = self.ctx.from_dlpack(a)
        self.assertFalse(np.from_dlpack(t).flags.writeable)
        self.refused('reading only', t.__dlpack__, error=BufferError)  # the older form
        self.refused('reading only', t._check, bpcuda.load().bp_copy_into(t, t))

    def test_bool_comes_as_u8(self):
        t = self.ctx.from_dlpack(np.array([True, False]))
        self.assertEqual((t.dtype, t.tolist()), ('u8', [1, 0]))

    def test_what_is_not_shared_is_said(self):
        for dtype in 'int64', 'float16', 'complex64':
            kept, gone = followed(np.zeros(3, dtype))
            self.refused(f'the elements are {dtype}', self.ctx.from_dlpack, kept)
            del kept
            gc.collect()
            self.assertIsNone(gone(), 'the refused capsule is gone')

    def test_the_array_lives_as_long_as_the_tensor(self):
        a, gone = followed(np.arange(3.0))
        t = self.ctx.from_dlpack(a)
        del a
        gc.collect()
        self.assertEqual(t.tolist(), [0, 1, 2])
        t.close()
        t.close()
        self.assertIsNone(gone())
        self.refused('closed', t.tolist)

    def test_closing_the_context_gives_arrays_back(self):
        a, gone = followed(np.arange(3.0))
        t = self.ctx.from_dlpack(a)
        model = bpcuda.Model(self.ctx, 3, '4', 2)  # which keeps the context, inside
        out = np.from_dlpack(self.ctx.tensor([1, 2]))
        del a
        self.ctx.close()
        self.assertIsNone(gone())
        self.assertEqual(out.tolist(), [1, 2])
        self.refused('NULL', model.save, 'nowhere')
        self.refused('closed', t.tolist)

    def test_an_array_outlives_the_tensor(self):
        b = np.from_dlpack(self.ctx.tensor(np.arange(1000.0)))
        gc.collect()
        self.ctx.tensor(np.zeros(1000))
        self.assertEqual(b[999], 999)

    def test_a_capsule_that_nobody_takes(self):
        for version in None, (1, 0):
            a, gone = followed(np.arange(3.0))
            t = self.ctx.from_dlpack(a)
            del a
            capsule = t.__dlpack__(max_version=version)
            t.close()
            self.assertIsNotNone(gone())
            del capsule
            self.assertIsNone(gone())

    def test_a_capsule_is_taken_once(self):
        class Same:
            def __init__(self, a):
                self.capsule = a.__dlpack__()

            def __dlpack_device__(self):
                return 1, 0

            def __dlpack__(self):  # of before DLPack 1
                return self.capsule
        same = Same(np.arange(3.0))
        self.assertEqual(self.ctx.from_dlpack(same).tolist(), [0, 1, 2])
        self.refused('no capsule', self.ctx.from_dlpack, same, error=TypeError)

    def test_a_copy_is_a_copy(self):
        t = self.ctx.tensor([1, 2, 3])
        a, b = np.from_dlpack(t), np.from_dlpack(t, copy=True)
        a[0] = 9
        self.assertEqual((t.tolist(), b.tolist()), ([9, 2, 3], [1, 2, 3]))
        self.refused('stays on cpu', t.__dlpack__, dl_device=(2, 0), error=BufferError)

    def test_a_tensor_of_another_context(self):
        with bpcuda.Context('cpu') as other:
            t = self.ctx.from_dlpack(other.tensor([[1, 2]]))
        gc.collect()
        self.assertEqual(t.tolist(), [[1, 2]])

    def test_another_thread_lets_go(self):
        kept = [np.from_dlpack(self.ctx.tensor([i])) for i in range(100)]
        other = [self.ctx.from_dlpack(np.array([float(i)])) for i in range(100)]
        thread = threading.Thread(target=lambda: (kept.clear(), other.clear(), gc.collect()))
        thread.start()
        while thread.is_alive():
            try:
                self.ctx.tensor([1, 2])
            except bpcuda.Error as error:
                self.assertIn('busy', str(error))
        thread.join()

    @needs_torch
    def test_torch_shares_too(self):
        for x in torch.arange(6.0).reshape(2, 3), torch.arange(6).int()[::2], torch.zeros(()), \
                torch.arange(6.0).reshape(2, 3).T.double().T:
            t = self.ctx.from_dlpack(x)
            y = torch.from_dlpack(t)
            self.assertEqual((y.data_ptr(), y.shape, y.stride(), y.dtype),
                             (x.data_ptr(), x.shape, x.stride(), x.dtype))
        y += 5
        self.assertEqual(t.tolist(), y.tolist())
        self.assertRaises(BufferError, self.ctx.from_dlpack, torch.zeros(2, requires_grad=True))


class Training(Case):
    device = DEVICE

    def arrays(self):
        """The digits as NumPy arrays: (x, labels), 1437 to train on and 360 others."""
        data, test = bpcuda.Data.digits(self.ctx).split(0.2)
        return [np.array(d.column(name).tolist(), dtype)
                for d in (data, test) for name, dtype in (('x', float), ('y', int))]

    def test_digits_from_arrays(self):
        x, y, test_x, test_y = self.arrays()
        data = bpcuda.Data(self.ctx, x.astype('f4'), y)
        model = bpcuda.Model(self.ctx, 64, '64 relu', 10)
        model.normalize(data, 'global')
        trainer = bpcuda.Trainer(model, data, epochs=15, optimizer='adamw',
                                 schedule='warmup=1 cosine=0.01')
        self.assertFalse(trainer.run(steps=3))
        self.assertEqual(trainer.progress.steps, 3)
        self.assertTrue(trainer.run())
        loss, accuracy = model.evaluate(bpcuda.Data(self.ctx, test_x.astype('u1'), test_y))
        self.assertGreater(accuracy, 0.95)
        p = np.from_dlpack(model.predict(test_x))
        self.assertEqual(p.shape, test_y.shape + (10,))
        self.assertEqual((p.argmax(1) == test_y).mean(), accuracy)
        forms = [test_x.astype('f4'), test_x.astype('u1'), test_x.tolist(),
                 np.asfortranarray(test_x), memoryview(test_x), self.ctx.tensor(test_x)]
        if torch:
            forms += [torch.tensor(test_x), torch.tensor(test_x).float().mT.contiguous().mT]
        for form in forms:
            np.testing.assert_array_equal(np.from_dlpack(model.predict(form)), p)
        one = model.predict(test_x[0])
        self.assertEqual(one.shape, (10,))
        np.testing.assert_allclose(one.tolist(), p[0], atol=1e-6)
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, 'digits.safetensors')
            model.save(path)
            loaded = bpcuda.Model.load(self.ctx, path)
            np.testing.assert_array_equal(np.from_dlpack(loaded.predict(test_x)), p)
            self.refused('No such file', bpcuda.Model.load, self.ctx, path + '.not')
            self.refused('', model.save, os.path.join(folder, 'none', 'there'))
            trainer.save(os.path.join(folder, 'run'))
            again = bpcuda.Trainer(model, data, epochs=16, optimizer='adamw',
                                   schedule='warmup=1 cosine=0.01')
            again.resume(os.path.join(folder, 'run'))
            self.assertTrue(again.run())

    def test_regression_labels_weights(self):
        x = np.linspace(-1, 1, 64).reshape(64, 1)
        for y in 3 * x + 1, (3 * x + 1).tolist():
            data = bpcuda.Data(self.ctx, x, y, weight=np.ones(64))
            line = bpcuda.Model(self.ctx, 1, '', 1, task='regression')
            line.normalize(data)
            bpcuda.Trainer(line, data, epochs=60, lr=0.05).run()
            self.assertAlmostEqual(line.predict([[0.5]]).tolist()[0][0], 2.5, 1)
        labels = np.concatenate([x > 0, x < 0], 1)
        data = bpcuda.Data(self.ctx, x, labels)
        model = bpcuda.Model(self.ctx, 1, '', 2, task='labels')
        bpcuda.Trainer(model, data, epochs=60, lr=0.1).run()
        self.assertGreater(model.evaluate(data)[1], 0.9)

    def test_parameters_are_the_models(self):
        model = bpcuda.Model(self.ctx, 2, '', 1, task='regression')
        weights = model.parameters
        self.assertEqual({name: w.shape for name, w in weights.items()},
                         {'layer1.weight': (1, 2), 'layer1.bias': (1,)})
        if self.device == 'cpu':
            np.from_dlpack(weights['layer1.weight'])[:] = [[2, 3]]
            np.from_dlpack(weights['layer1.bias'])[:] = 10
            self.assertEqual(model.predict([[1, 1]]).tolist(), [[15]])

    def test_csv(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, 'table.csv')
            with open(path, 'w', encoding='utf-8') as out:
                out.write('a,b,kind\n1,2,cat\n3,4,dog\n5,6,cat\n')
            data = bpcuda.Data.csv(self.ctx, path)
            self.assertEqual(data.column('x').tolist(), [[1, 2], [3, 4], [5, 6]])
            self.assertEqual(data.column('y').tolist(), [0, 1, 0])
            other = bpcuda.Data.csv(self.ctx, path, label='a', skip='kind', regression=True)
            self.assertEqual(other.column('y').tolist(), [[1], [3], [5]])
            self.assertEqual(len(bpcuda.Data.csv(self.ctx, path, like=data)), 3)

    def test_errors_say_what(self):
        self.assertEqual(self.refused('', bpcuda.Context, 'gpu').status, 5)
        self.assertEqual(self.refused('relo', bpcuda.Model, self.ctx, 4, '8 relo', 2).status, 11)
        data = bpcuda.Data(self.ctx, [[1, 2], [3, 4]], [0, 1])
        model = bpcuda.Model(self.ctx, 2, '', 2)
        self.refused('epoch', bpcuda.Trainer, model, data, epoch=3, error=ValueError)
        self.refused('adem', bpcuda.Trainer, model, data, optimizer='adem', error=ValueError)
        self.refused('batch', bpcuda.Trainer, model, data, batch=0)
        self.refused('task', bpcuda.Model, self.ctx, 2, '', 2, 'classify', error=ValueError)
        self.refused('(1, 3)', model.predict, [[1, 2, 3]], error=ValueError)
        self.refused('rows are wanted', bpcuda.Data, self.ctx, [[1], [2]], [0], error=ValueError)
        self.refused('rows are wanted', bpcuda.Data, self.ctx, [[1], [2]], [.5], error=ValueError)
        self.refused('different', bpcuda.Data, self.ctx, [[1], [2, 3]], error=ValueError)
        self.refused('is inf', bpcuda.Data, self.ctx, [[1e300]], [0])
        self.refused('int64', bpcuda.Data, self.ctx, np.zeros((2, 2), 'i8'), [0, 1])
        self.refused('format', bpcuda.Data, self.ctx, array.array('q', [1]), error=TypeError)
        self.refused('', bpcuda.Data, self.ctx, [], [])
        self.refused('', bpcuda.Data, self.ctx, [[1], [2]], [-1, 0])
        self.refused('none', data.column, 'none')
        self.assertRaises(OverflowError, bpcuda.Data, self.ctx, [[1]], [1 << 40])
        self.assertRaises(ctypes.ArgumentError, bpcuda.Model, self.ctx, 1 << 64, '', 2)
        self.assertRaises(ctypes.ArgumentError, bpcuda.Context, self.device, seed=1 << 64)
        self.assertRaises(ValueError, self.ctx.tensor, [[[[[[[[[1]]]]]]]]])

    def test_any_order_of_ends(self):
        data = bpcuda.Data(self.ctx, [[1, 2], [3, 4]], [0, 1])
        model = bpcuda.Model(self.ctx, 2, '', 2)
        trainer = bpcuda.Trainer(model, data, epochs=2, validate=data)
        weight = model.parameters['layer1.weight']
        model.close()  # and the trainer and the weights with it
        for call in trainer.run, weight.tolist, lambda: model.predict([[1, 2]]):
            self.assertRaises(bpcuda.Error, call)
        model = bpcuda.Model(self.ctx, 2, '', 2)
        trainer = bpcuda.Trainer(model, data, epochs=2)
        self.ctx.close()
        self.assertRaises(bpcuda.Error, trainer.run)
        self.assertRaises(bpcuda.Error, self.ctx.tensor, [1])
        data.close()
        trainer.close()

    def test_what_is_the_librarys_is_not_copied(self):
        data = bpcuda.Data(self.ctx, [[1, 2], [3, 4]], [0, 1])
        for thing in self.ctx, data, data.column('x'), bpcuda.Model(self.ctx, 2, '', 2):
            for copied in copy.copy, copy.deepcopy, pickle.dumps:
                self.assertRaises(TypeError, copied, thing)

    def test_a_process_may_end_with_everything_there(self):
        script = f'''if True:
            import sys
            sys.path.insert(0, {os.path.dirname(MODULE)!r})
            import bpcuda, numpy
            bpcuda.load({LIBRARY!r})
            ctx = bpcuda.Context({self.device!r})
            t = ctx.tensor([[1, 2], [3, 4]])
            data = bpcuda.Data(ctx, t, [0, 1])
            model = bpcuda.Model(ctx, 2, '', 2)
            trainer = bpcuda.Trainer(model, data, epochs=1)
            trainer.run()
            capsule = t.__dlpack__()
            if {self.device!r} == 'cpu':
                bpcuda.kept = numpy.from_dlpack(t), ctx.from_dlpack(numpy.zeros(3))'''
        done = subprocess.run([sys.executable, '-X', 'faulthandler', '-c', script],
                              capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr), (0, ''))


class Headers(unittest.TestCase):
    """The prototypes and numbers of the module are those of the C headers."""

    def read(self, *parts):
        with open(os.path.join(SOURCE, *parts), encoding='utf-8') as text:
            return text.read()

    def test_prototypes(self):
        folder = os.path.join('include', 'bpcuda')
        text = ''.join(self.read(folder, name) for name in sorted(
            os.listdir(os.path.join(SOURCE, folder))))
        names = {'bp_status': 'c_int', 'int32_t': 'c_int', 'bp_dtype': 'c_int', 'bp_task': 'c_int',
                 'bp_normalize': 'c_int', 'bp_train_option': 'c_int', 'int64_t': 'c_long',
                 'uint64_t': 'c_ulong', 'size_t': 'c_ulong', 'double': 'c_double', 'void': 'None',
                 'bp_shape': '_Shape'}

        def matches(c, python):
            if not c.endswith('*'):
                return names[c] == getattr(python, '__name__', 'None')
            if c == 'const char *':
                return python.__name__ == 'c_char_p'
            return python.__name__ == 'c_void_p' or python.__name__.startswith('LP_')

        for result, functions in bpcuda._PROTOTYPES.items():
            for name, arguments in functions.items():
                found = re.search(rf'BP_API ([^;(]*?){name}\(([^;]*?)\)', text)
                self.assertTrue(found, name)
                wanted = [re.sub(r'\w+$', '', ' '.join(a.split())).strip()
                          for a in found[2].split(',')]
                self.assertTrue(matches(found[1].strip(), result), name)
                self.assertEqual(len(wanted), len(arguments), name)
                for c, python in zip(wanted, arguments):
                    self.assertTrue(matches(c, python), f'{name}: {c}, {python}')

    def test_structs(self):
        text = re.sub(r'/\*.*?\*/', '', self.read('include', 'bpcuda', 'data.h')
                      + self.read('include', 'bpcuda', 'trainer.h'), flags=re.S)
        for name, python in ('bp_csv', bpcuda._Csv), ('bp_progress', bpcuda.Progress):
            body = re.search(r'typedef struct %s \{(.*?)\} %s;' % (name, name), text, re.S)[1]
            members = [m.strip(' *\n') for line in body.split(';') for m in
                       re.sub(r'^\s*(const )?\w+', '', line).split(',') if m.strip()]
            self.assertEqual(members, [field[0] for field in python._fields_], name)

    def test_options(self):
        numbers = dict(re.findall(r'(BP_\w+) = (\d+)', self.read('include', 'bpcuda', 'trainer.h')
                                  + self.read('include', 'bpcuda', 'optim.h')))
        options = re.findall(r'^BPI_OPTION\((\w+), (\w+)', self.read('src', 'train', 'options.def'),
                             re.M)
        self.assertEqual({name: int(numbers[number]) for number, name in options},
                         bpcuda._OPTIONS)
        for prefix, table in ('BP_', bpcuda._OPTIMIZERS), ('BP_ROWS_', bpcuda._ROWS):
            for name, number in table.items():
                self.assertEqual(int(numbers[prefix + name.upper()]), number, name)


if __name__ == '__main__':
    bpcuda.load(LIBRARY)
    unittest.main(argv=sys.argv[:1])
