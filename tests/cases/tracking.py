"""What Weights & Biases and MLflow have of a run, read by their own means."""

import struct

BLOCK = 32768  # bytes; the layout of LevelDB's log files, in which wandb keeps an offline run


def wandb_history(folder):
    """iteration -> the numbers of an offline run; the parts of one run that was resumed come one after the other."""
    import json

    from wandb.proto import wandb_internal_pb2

    rows = []
    for file in sorted(folder.glob("wandb/offline-run-*/run-*.wandb")):
        for content in _records(file.read_bytes()):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(content)
            if record.WhichOneof("record_type") == "history":
                rows.append(
                    {item.key or item.nested_key[0]: json.loads(item.value_json) for item in record.history.item}
                )
    return rows


def _records(content):
    """Type 1 is a whole record, 2, 3 and 4 its first, middle and last part."""
    place, parts = 7, []  # after the file's own header
    while place + 7 <= len(content):
        if BLOCK - place % BLOCK < 7:
            place += BLOCK - place % BLOCK
            continue
        length, kind = struct.unpack_from("<HB", content, place + 4)
        if not kind:
            break
        parts.append(content[place + 7 : place + 7 + length])
        place += 7 + length
        if kind in (1, 4):
            yield b"".join(parts)
            parts = []


def mlflow_history(run_id, name):
    """[(iteration, value)] of one number."""
    import mlflow

    return sorted((point.step, point.value) for point in mlflow.MlflowClient().get_metric_history(run_id, name))
