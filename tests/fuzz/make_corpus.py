#!/usr/bin/env python3
"""Writes the corpus of the fuzzers, small inputs from which they start: one folder each, in the
current one. The form of an input is at the top of each fuzzer."""
import gzip
import io
import os
import struct
import zipfile


def put(folder, name, data):
    os.makedirs(folder, exist_ok=True)
    with open(f'{folder}/{name}', 'wb') as f:
        f.write(data)


def header(tensors, meta, blank=''):
    text, at = [], 0
    for key, sizes in tensors:
        count = 1
        for n in sizes:
            count *= n
        wide = key.startswith('normalizer') and ('normalize', 'column') in meta
        dtype, size = ('F64', 8) if wide else ('F32', 4)
        text.append('"%s":{"dtype":"%s","shape":%s,"data_offsets":[%d,%d]}' % (
            key, dtype, str(list(sizes)).replace(' ', ''), at, at + size * count))
        at += size * count
    text.insert(0, '"__metadata__":{%s}' % ','.join('"%s":"%s"' % m for m in meta))
    return ('{' + ','.join(text) + '}' + blank).encode(), at


def model(inputs, layers, classes, more=()):
    widths = [int(w) for w in layers.split() if w.isdigit()] + [classes]
    tensors, last = [], inputs
    for i, w in enumerate(widths):
        tensors += [(f'layer{i + 1}.weight', (w, last)), (f'layer{i + 1}.bias', (w,))]
        last = w
    tensors += [('normalizer.shift', (inputs,)), ('normalizer.scale', (inputs,))]
    return header(tensors, [('format', 'bpcuda'), ('version', '1'), ('inputs', inputs),
                            ('classes', classes), ('layers', layers), *more], '  ')


for i, (inputs, layers, classes) in enumerate([(2, '', 2), (3, '4 relu dropout=0.5 2 elu', 2)]):
    text, size = model(inputs, layers, classes)
    floats = struct.pack('<f', 0.5) * (size // 4)
    put('model', f'file{i}', b'\0' + struct.pack('<Q', len(text)) + text + floats)
    put('model', f'header{i}', b'\3' + text + b'\0' + floats[:4])
for task in ('classes', 'regression', 'labels'):
    more = [('targets.shift', (2,)), ('targets.scale', (2,))] if task == 'regression' else []
    names = [('class_names', 'a,%2C%C3%A9')] if task == 'classes' else []
    text, size = header([('layer1.weight', (2, 3)), ('layer1.bias', (2,)),
                         ('normalizer.shift', (3,)), ('normalizer.scale', (3,)), *more],
                        [('format', 'bpcuda'), ('version', '2'), ('task', task), ('inputs', '3'),
                         ('outputs', '2'), ('layers', ''), *names])
    put('model', task, b'\1' + text + b'\0' + struct.pack('<f', 0.5) * (size // 4))
text, size = header([('0.layer1.weight', (2, 3)), ('0.layer1.bias', (2,)),
                     ('1.layer1.weight', (2, 3)), ('1.layer1.bias', (2,)),
                     ('normalizer.shift', (3,)), ('normalizer.scale', (3,))],
                    [('format', 'bpcuda'), ('version', '3'), ('task', 'classes'), ('inputs', '3'),
                     ('outputs', '2'), ('layers', ''), ('members', '2')])
put('model', 'ensemble', b'\1' + text + b'\0' + struct.pack('<f', 0.5) * (size // 4))
text, size = model(3, '4 relu', 2, [('normalize', 'column')])
put('model', 'wide', b'\1' + text + b'\0' + struct.pack('<f', 0.5) * (size // 4))
put('model', 'escapes',
    b'\3{"\\u00e9\\ud83d\\ude00\\n":{"dtype":"U8","shape":[2,0],"data_offsets":[0,0]}}')
put('model', 'fields', b'\3{"a":{"dtype":"F64","shape":[],"data_offsets":[0,8],'
    b'"x":[{"y":-1.5e3},null,true]}}')
text = model(3, '4 relu', 2)[0]
put('model', 'turned', b'\3' + text.replace(b'[4,3]', b'[3,4]') + b'\0')
put('model', 'wider', b'\3' + text.replace(b'"4 relu"', b'"5 relu"') + b'\0')
put('model', 'nan', b'\3' + model(2, '', 2)[0] + b'\0' + struct.pack('<f', float('nan')))

params = {'w': ('F32', '[2,3]', 24), 'b': ('F16', '[3]', 6), 's': ('F64', '[]', 8)}


def weights(of, order='wbs'):
    text, at = [], 0
    for key in order:
        dtype, shape, size = of[key]
        text.append('"%s":{"dtype":"%s","shape":%s,"data_offsets":[%d,%d]}' % (
            key, dtype, shape, at, at + size))
        at += size
    return ('{' + ','.join(text) + '}').encode()


more = {**params, 'n': ('I64', '[1]', 8), 'q': ('F4', '[4]', 2)}
for i, (flags, text) in enumerate([
        (3, weights(params)), (7, weights(params, 'sbw')), (11, weights(more, 'nwqbs')),
        (15, weights({**params, 'w': ('BF16', '[2,3]', 12)})), (19, weights(params, 'ws')),
        (27, weights({**params, 'b': ('F16', '[4]', 8)})),
        (11, weights({**params, 's': ('I32', '[]', 4)}))]):
    put('params', f'{i}', bytes([flags]) + text + b'\0' + struct.pack('<d', 0.3))
put('params', 'inf', b'\3' + weights(params) + b'\0\0\0\x80\x7f')
put('params', 'large', b'\3' + weights({**params, 's': ('F64', '[]', 8), 'w': ('F64', '[2,3]', 48)})
    + b'\0' + struct.pack('<d', 1e300))

for i, layers in enumerate(['', '64 relu dropout=0.1 64 relu', ' 8\telu\n 8  relu ', '16777216',
                            '8 tanh', 'dropout=0 relu elu 3', 'residual( 3 leaky_relu=-.1 residual(rmsnorm)3)tanh',
                            'layernorm=1e-3 8 residual (gelu 8 ) elu=2', 'dropout=.5',
                            '99999999999999999999', '3 ' * 254,
                            '1x3x1 conv1x2=2,pad=1,stride=2 relu pool=1x2 residual( avgpool=1 ) globalpool 4']):
    put('layers', f'{i}', layers.encode())

images = struct.pack('>IIII', 0x803, 3, 2, 2) + bytes(range(12))
labels = struct.pack('>II', 0x801, 3) + bytes([0, 2, 1])
for flags in (0, 2, 6, 14, 18, 128):
    put('idx', f'images{flags}', bytes([flags]) + images)
    put('idx', f'labels{flags}', bytes([flags + 1]) + labels)
packed = gzip.compress(images[:20], mtime=0) + gzip.compress(images[20:], mtime=0)
put('idx', 'packed', b'\0' + packed + bytes(8))
put('idx', 'cut', b'\0' + packed[:-5])
put('idx', 'claims', b'\0' + struct.pack('>IIII', 0x803, 0xffffffff, 0xffff, 0xffff))

for i, text in enumerate(['', 'a,b,c\n1,2.5,red\n-3e2,+.5,blue\n', '1\t2\n3\t4', '1;2;"x\ny"\r\n3;4;"""z"\r\n',
                          '\ufeff"a","b"\n\n1,2\n', '1,nan\n', '1,2\n3\n', '1,"2\n', '1,2,3\n4,5,6\n',
                          '0.1234567890123456789012,16777217,1e-46\n', 'a,b\n1,1e39\n']):
    for flags in (0, 1, 2 * 64 + 16):
        put('csv', f'{i}-{flags}', bytes([flags]) + text.encode())
put('csv', 'zipped', b'\0' + gzip.compress(b'1,2,a\n3,4,b\n', mtime=0))


def npy(descr, shape, numbers, version=1):
    text = ("{'descr': '%s', 'fortran_order': False, 'shape': %s, }\n" % (descr, shape)).encode()
    return b'\x93NUMPY' + struct.pack('<BBH' if version == 1 else '<BBI', version, 0, len(text)) + text + numbers


for i, (descr, shape, numbers) in enumerate([
        ('<f4', '(2, 2)', struct.pack('<4f', 1, 2, 3, 4)), ('<f8', '(1, 3)', struct.pack('<3d', 1, 2, 1e39)),
        ('|u1', '(3,)', b'\1\2\0'), ('<i8', '(2,)', struct.pack('<2q', 1, -1)), ('<i4', '(2,)', struct.pack('<2i', 1, 0)),
        ('>f8', '(1,)', b'12345678'), ('|b1', '(2, 1)', b'\0\1')]):
    put('npy', f'array{i}', bytes([i % 2 * 2]) + npy(descr, shape, numbers, 1 + i % 3))
for name, method in ('stored', zipfile.ZIP_STORED), ('deflated', zipfile.ZIP_DEFLATED):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, 'w', method) as z:
        for key, data in (('x', npy('<f4', '(2, 2)', struct.pack('<4f', 1, 2, 3, 4))), ('y', npy('|u1', '(2,)', b'\1\0'))):
            z.writestr(zipfile.ZipInfo(key + '.npy', (2000, 1, 1, 0, 0, 0)), data, method)
    put('npy', name, b'\1' + archive.getvalue())
