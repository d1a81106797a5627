"""events.py PLOT_CALLS WORK: tensorboard reads every value of an event file back.

Exit status 77, with the reason, where the package is missing."""
import os
import shutil
import struct
import subprocess
import sys

try:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
except ImportError as error:
    print(f"skipped: {error}; -DBPCUDA_TEST_PYTHON=... names a Python that has tensorboard")
    sys.exit(77)

calls, work = sys.argv[1:]
failed = 0


def claim(holds, text):
    global failed
    if not holds:
        failed += 1
        print("FAILED", text)


def f32(x):
    return struct.unpack("f", struct.pack("f", x))[0]


def write(folder, epochs):
    return subprocess.run([calls, "events", folder, str(epochs)], capture_output=True, text=True)


shutil.rmtree(work, ignore_errors=True)
folder = os.path.join(work, "a", "run")  # of folders that are not there yet
done = write(folder, 40)
claim(done.returncode == 0 and not done.stderr, f"writes: {done.stderr}")

events = EventAccumulator(folder, size_guidance={"scalars": 0})
events.Reload()
values = {
    "loss/train": lambda i: 2 / i,
    "accuracy/train": lambda i: 1 - 0.5 / i,
    "loss/valid": lambda i: 2.5 / i,
    "accuracy/valid": lambda i: 1 - 0.75 / i,
    "rate": lambda i: 0.01 * 0.5**i,
    "samples_per_second": lambda i: 1000 + i,
}
claim(sorted(events.Tags()["scalars"]) == sorted(values), f"tags: {events.Tags()['scalars']}")
for tag, value in values.items():
    epochs = [i for i in range(1, 41) if "valid" not in tag or i % 2 == 0]
    read = events.Scalars(tag) if tag in events.Tags()["scalars"] else []
    claim([e.step for e in read] == [10 * i for i in epochs], f"{tag}: the steps")
    claim([e.value for e in read] == [f32(value(i)) for i in epochs], f"{tag}: the values")
    claim(all(b.wall_time >= a.wall_time > 1.7e9 for a, b in zip(read, read[1:])), f"{tag}: the times")

path = os.path.join(folder, os.listdir(folder)[0])
records = list(RawEventFileLoader(path).Load())  # stops at a checksum that is wrong
claim(len(records) == 41, f"{len(records)} records, not 41")
claim(b"brain.Event:2" in records[0], "the first says the version")

claim(write(folder, 1).returncode == 0 and len(os.listdir(folder)) == 2, "a second run has a file of its own")
for bad in ("/proc/nowhere/run", os.path.join(path, "run")):
    done = write(bad, 1)
    claim(done.returncode == 1 and f"{bad}: cannot be written: " in done.stderr, f"told: {done.stderr}")
print(f"{failed} failed")
sys.exit(failed != 0)
