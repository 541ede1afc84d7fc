from transfer.evaluation import measure
from transfer.records.record import ALL_METRICS, METRICS


def test_the_table_has_a_line_a_task_and_a_dash_for_what_was_not_measured():
    metrics = {task: dict.fromkeys(ALL_METRICS) for task in ("bbox", "segm")}
    metrics["bbox"] |= {"AP": 12.345, "AP50": 0.0, "APl": 100.0}
    header, boxes, masks = measure.table(metrics).splitlines()
    assert header.split() == list(METRICS)
    assert boxes.split() == ["bbox", "12.35", "0.00", "-", "-", "-", "100.00"]
    assert masks.split() == ["segm", *"------"]
    assert len(header) == len(boxes) == len(masks)
