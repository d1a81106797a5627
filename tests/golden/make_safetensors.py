#!/usr/bin/env python3
"""Writes safetensors.txt: headers of safetensors files, and what the format's own library says.

    pip install safetensors; python3 make_safetensors.py [COUNT] > safetensors.txt

A line is a verdict, the number of zero bytes that follow the header, and the header, in which \\xNN
stands for a byte. Verdicts: + accepted; - refused; ! accepted by the library but not by bpcuda, for
one of the reasons below; ~ the reverse. COUNT is the number of changed headers after those that are
written out here (300; for more than the table in the tree, write it elsewhere and give it to
test_safetensors).
"""
import json
import random
import re
import struct
import sys

from safetensors import SafetensorError, deserialize

T = '{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'
U = '{"dtype":"F32","shape":[1],"data_offsets":[4,8]}'


def one(tensor):
    return '{"a":' + tensor + '}'


def shape(text, end=4):
    return one('{"dtype":"F32","shape":%s,"data_offsets":[0,%d]}' % (text, end))


def more(text):
    return one('{"dtype":"F32","shape":[1],"data_offsets":[0,4],' + text + '}')


def name(text):
    return '{"' + text + '":' + T + '}'


def meta(text):
    return '{"__metadata__":' + text + ',"a":' + T + '}'


WRITTEN = [(h, 4) for h in [
    one(T), ' ' + one(T), one(T) + ' \n\t\r', one(T) + '\0', one(T) + '//', '\ufeff' + one(T),
    '', '{', '[]', 'null', '{}', '{"a":null}', '{"a":1}', '{"a":[]}', '{"a":{}}', '{a:%s}' % T,
    "{'a':%s}" % T, '{"a":%s,}' % T, '{"a":%s "b":%s}' % (T, T), '{"a"%s}' % T, '{"a" : %s }' % T,
    '{"a":%s,"a":%s}' % (T, T), '{"\\u0061":%s,"a":%s}' % (T, T), '{"a":%s,"b":%s}' % (T, T),
    one('["F32",[1],[0,4]]'), one('{"dtype":{"F32":null},"shape":[1],"data_offsets":[0,4]}'),
    one('{"shape":[1],"data_offsets":[0,4]}'), one('{"dtype":"F32","data_offsets":[0,4]}'),
    one('{"dtype":"F32","shape":[1]}'), one('{"dtype":null,"shape":[1],"data_offsets":[0,4]}'),
    one('{"data_offsets":[0,4],"shape":[1],"dtype":"F32"}'),
    one('{"d\\u0074ype":"F\\u00332","shape":[1],"data_offsets":[0,4]}'),
    more('"dtype":"F32"'), more('"shape":[1]'), more('"data_offsets":[0,4]'), more('"x":1,"x":2'),
    meta('{}'), meta('null'), meta('{"k":"v"}'), meta('{"k":"v","k":"w"}'), meta('{"k":1}'),
    meta('{"k":null}'), meta('[]'), meta('"x"'), meta('{},"__metadata__":{}'), meta('{"":""}'),
    meta('null,"__metadata__":null'), meta('{"k":"\\ud800"}'), meta('{"k":"\\u0000"}'),
    '{"__metadata\\u005f_":{},"a":%s}' % T, '{"__metadata__":{}}',
    shape('[]'), shape('[ 1 ]'), shape('[1,]'), shape('[,1]'), shape('null'), shape('{}'),
    shape('1'), shape('["1"]'), shape('[1.0]'), shape('[1e0]'), shape('[01]'), shape('[-0,1]', 0),
    shape('[-1]'),
    shape('[+1]'), shape('[0]'), shape('[2]'), shape('[0x1]'), shape('[1,1,1,1,1,1,1,1]'),
    shape('[1,1,1,1,1,1,1,1,1]'), shape('[9223372036854775808,2,0]', 0),
    shape('[4611686018427387904,4]', 0), shape('[4611686018427387904]', 0),
    shape('[18446744073709551617]'), shape('[4294967297,4294967297]'),
    name(''), name('\\"\\\\\\/\\b\\f\\n\\r\\t'), name('\\x'), name('\\'), name('\\u12'),
    name('\\u12G4'), name('\\u00e9'), name('\\U00e9'), name('é'), name('\U0001f600'),
    name('a\x7f'),
    name('a\x01'), name('a\nb'), name('a\\u0000b'), name('\\ud83d\\ude00'), name('\\ud83d'),
    name('\\ud83dx'), name('\\ud83d\\n'), name('\\ud83d\\u0041'), name('\\ude00'),
    name('\\ude00\\ud83d'), name('\\uD83D\\uDE00'), name('\\ud83d\\ud83d\\ude00'), name('\\ue000'),
    more('"x":{"y":[1,2,{}],"z":null,"w":-1.5e3,"t":true}'), more('"x":' + '[' * 125 + ']' * 125),
    more('"x":' + '[' * 126 + ']' * 126), more('"x":' + '{"":' * 125 + '1' + '}' * 125),
    more('"x":' + '{"":' * 126 + '1' + '}' * 126), more('"x":[1 2]'), more('"x":[1,]'),
    more('"x":[}'),
    more('"x":"\\ud800"'), more('"x":{1:2}'), more('"x":{"y" 2}'), more('"x":'), more('"x"'),
] + [more('"x":' + v) for v in (
    '0 00 01 -0 -01 - + 1. .5 1.5 1e 1e5 1E+5 1e-5 1e+ -0.0e-5 1.e1 0e0 1e400 1e-400 -1e999 NaN '
    'Infinity nul tru truE true1 false null nulll 123456789012345678901234567890 "" '
    "'' 0x1").split()
] + [one('{"dtype":"%s","shape":[2],"data_offsets":[0,4]}' % d) for d in (
    'F32 f32 BF16 F16 U16 I16 U8 BOOL X F32\\u0000').split()]]
WRITTEN += [
    (one(T), 0), (one(T), 3), (one(T), 5), ('{}', 0), ('{}', 1), ('{"__metadata__":{}}', 0),
    ('{"b":%s,"a":%s}' % (U, T), 8), ('{"b":%s,"a":%s}' % (U, T), 9), (one(U), 8),
    ('{"a":{"dtype":"F32","shape":[0],"data_offsets":[4,4]},"b":%s}' % T, 4),
    ('{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},"b":%s}' % T, 4),
    ('{"a":{"dtype":"F32","shape":[0],"data_offsets":[2,2]},"b":%s}' % T, 4),
    ('{"a":{"dtype":"F32","shape":[0],"data_offsets":[9,9]},"b":%s}' % T, 4),
    (shape('[0,9223372036854775807]', 0), 0), (shape('[0,18446744073709551615]', 0), 0),
    (shape('[0,18446744073709551616]', 0), 0), (shape('[9223372036854775807,0]', 0), 0),
    (one('{"dtype":"F32","shape":[1],"data_offsets":[4,0]}'), 0),
    (one('{"dtype":"F32","shape":[1],"data_offsets":[0,4,8]}'), 4),
    (one('{"dtype":"F32","shape":[1],"data_offsets":[4]}'), 4),
    (one('{"dtype":"F32","shape":[1],"data_offsets":{"0":0}}'), 4),
    (one('{"dtype":"F64","shape":[1],"data_offsets":[0,8]}'), 8),
    (one('{"dtype":"I32","shape":[1,2],"data_offsets":[0,8]}'), 8),
    (one('{"dtype":"F4","shape":[8],"data_offsets":[0,4]}'), 4)]
DTYPES = [(one('{"dtype":"%s","shape":[8],"data_offsets":[0,%d]}' % d).encode(), d[1]) for d in (
    ('BOOL', 8), ('I8', 8), ('I16', 16), ('U16', 16), ('F16', 16), ('BF16', 16), ('U32', 32),
    ('I64', 64), ('U64', 64), ('C64', 64), ('C128', 64), ('F8_E5M2', 8), ('F8_E4M3', 8),
    ('F8_E8M0', 8), ('F8_E4M3FNUZ', 8), ('F8_E5M2FNUZ', 8), ('F6_E2M3', 6), ('F6_E3M2', 6),
    ('F4', 4), ('F4', 8), ('I64', 32), ('I4', 4))]
DTYPES += [(one('{"dtype":"%s","shape":[%d],"data_offsets":[0,%d]}' % d).encode(), d[2]) for d in (
    ('F4', 3, 1), ('F4', 3, 2), ('F4', 2, 1), ('F6_E2M3', 4, 3), ('F6_E2M3', 3, 2), ('F4', 0, 0))]
BYTES = [(b'{"\xff":%s}', 4), (b'{"\xc0\x80":%s}', 4), (b'{"\xc1\xbf":%s}', 4),
         (b'{"\xed\xa0\x80":%s}', 4), (b'{"\xed\x9f\xbf":%s}', 4),
         (b'{"\xf4\x90\x80\x80":%s}', 4), (b'{"\xf4\x8f\xbf\xbf":%s}', 4),
         (b'{"\xe0\x9f\xbf":%s}', 4), (b'{"\xe0\xa0\x80":%s}', 4), (b'{"\xf0\x8f\xbf\xbf":%s}', 4),
         (b'{"\xf0\x90\x80\x80":%s}', 4), (b'{"\xf5\x80\x80\x80":%s}', 4), (b'{"\xe9":%s}', 4),
         (b'{"\xe9\x80":%s}', 4), (b'{"\xc3\xa9\x80":%s}', 4)]
PIECES = [' ', '\n', '\t ', '"x":1,', '"x":[{"y":"z"}],', '"', '\\', '{', '}', '[', ']', ',', ':',
          ' ', '\n', '0', '1', '4', '8', '-', '.', 'e', 'E', 'null', 'true', '\\u0041', '\\ud83d',
          '\\ude00', '\\u0000', '"a"', '"b":', '"__metadata__":', '"dtype":', '"shape":',
          '"data_offsets":', '"F32"', '"F64"', '"U8"', '"BF16"', '[1]', '[0,4]',
          '[4,8]', '{}', '[]', T, U, '18446744073709551615', '9223372036854775808', '\x00', '\x1f',
          '\x7f', 'é']


def changed(random_, base):
    """A header with one to three changes: pieces put in, cut, replaced, copied from another."""
    header, data = random_.choice(base)
    for _ in range(random_.choice([1, 1, 1, 2, 3])):
        ends = [m.end() for m in re.finditer(rb'[\[\]{},:"]', header)] or [0]
        i = random_.choice([random_.randint(0, len(header)), random_.choice(ends)])
        n = random_.choice([0, 0, 1, 1, 2, random_.randint(0, 12)])
        put = random_.choice(PIECES + ['']).encode()
        if random_.random() < 0.1:
            put = bytes([random_.randrange(256)])
        header = header[:i] + put + header[i + n:]
    return header, random_.choice([data] * 8 + [0, 4, 8])


def stricter(header):
    """Why bpcuda refuses what the library accepts, or None."""
    twice = []

    def pairs(items):
        if len({k for k, _ in items}) < len(items):
            twice.append(items)
        return dict(items)
    top = json.loads(header, object_pairs_hook=pairs)
    for key, t in top.items():
        if key == '__metadata__':
            continue
        if not isinstance(t, dict) or not isinstance(t['dtype'], str):
            return 'forms that only the derived reader of the library knows'
        if len(t['shape']) > 8:
            return 'more sizes than a shape of bpcuda has'
        count = 1
        for n in t['shape']:
            count *= max(n, 1)
        if max(t['shape'] + t['data_offsets']) >= 2 ** 63 or count > (2 ** 63 - 1) // 16:
            return 'sizes beyond int64, or that overflow but for a 0 among them'
        for other in ('dtype', 'shape', 'data_offsets'):
            assert other in t
    # The library keeps the last; the format's page forbids it.
    if any(is_names(items, top) for items in twice):
        return 'a name that is there twice'
    return None


def is_names(items, top):
    """Are these the tensors, or the metadata? Fields that are passed over may be there twice."""
    return dict(items) == top or dict(items) == top.get('__metadata__')


def accepted(header, data):
    try:
        deserialize(struct.pack('<Q', len(header)) + header + bytes(data))
        return True
    except SafetensorError:
        return False


def verdict(header, data):
    if accepted(header, data):
        return '!' if stricter(header) else '+'
    # In a field that is passed over, JSON allows numbers that no double holds.
    small = re.sub(rb'([0-9][eE][+]?)[0-9]{3,}', rb'\g<1>1', header)
    return '~' if small != header and accepted(small, data) and not stricter(small) else '-'


def escaped(header):
    return ''.join(chr(c) if 32 <= c < 127 and c != 92 else '\\x%02x' % c for c in header)


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    base = [(h.encode(), n) for h, n in WRITTEN] + [(h % T.encode(), n) for h, n in BYTES]
    base += [(b'{"a":%s,"b":%s}' % (T.encode(), U.encode()), 8)] * 20
    random_ = random.Random(1)
    seen = set()
    for header, data in base + DTYPES + [changed(random_, base) for _ in range(count)]:
        if (header, data) not in seen and len(header) >= 2:
            print(verdict(header, data), data, escaped(header))
        seen.add((header, data))


main()
