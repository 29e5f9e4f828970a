from dask_quant.routes.planning import JobPlan


def test_a_plan_is_a_table(parse_page):
    plan = JobPlan(12, 3, 4_000_000, 25, 12_000_000, 4_000_000, 700_000_000, ("a.png", "b<.png"))
    page = parse_page(plan._repr_html_())
    cells = dict(zip(page.texts, page.texts[1:], strict=False))
    assert cells["images"] == "12"
    assert cells["other files, left alone"] == "3"
    assert cells["pixels"] == "4,000,000"
    assert cells["tasks"] == "25"
    assert cells["decoded"] == "12.0 MB"
    assert cells["labels, before compression"] == "4.0 MB"
    assert cells["memory of all processes, at most"] == "700.0 MB"
    assert {"a.png", "b<.png"} <= set(page.texts)


def test_many_outputs_are_counted(parse_page):
    outputs = tuple(f"{number}.png" for number in range(1010))
    page = parse_page(JobPlan(1010, 0, 1, 1, 1, 1, 1, outputs)._repr_html_())
    assert {"9.png", "and 1,000 more"} <= set(page.texts)
    assert "10.png" not in page.texts
