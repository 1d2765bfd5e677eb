"""Atelier: `snakemake --cores 8 --resources gpu=1` runs everything that is out of date.

A rule is a stage: a DVC stage, a section of params.yaml, a folder of pipeline/stages/ and an MLflow run have the same name.
"""

from snakemake.utils import min_version

from pipeline.code_inputs import code_inputs
from pipeline.workflow import job_resources
from pipeline.workflow import snakemake_dvc_sync as sync
from pipeline.workflow.source_files import FORGOTTEN_FILE, KNOWN_FOLDER

min_version("9.27")


report: "docs/captions/run.rst"


session = sync.SnakemakeSession(workflow)
PARAMS = session.params
ROWS = "data/manifest/{shard}.parquet"
RAW = expand("data/raw/{shard}.parquet", shard=session.shards)
PICTURES = expand("data/raw/{shard}.tar", shard=session.shards)
INSPECTED = expand("data/inspect/{shard}.parquet", shard=session.shards)
RAW_TABLES = session.listed("raw_tables", RAW)
SHARDS = session.listed("shards", PICTURES)
INSPECT_TABLES = session.listed("inspect_tables", INSPECTED)


# The image that `--sdm apptainer --config container=atelier.sif` runs the jobs in: docs/cluster.md.
if "container" in config:

    container: config["container"]


wildcard_constraints:
    shard=r"\d{5}",


onstart:
    session.started()


onsuccess:
    session.ended("FINISHED")


onerror:
    session.ended("FAILED")


localrules:
    all,
    fetch_all,
    inspect_all,


rule all:
    input:
        "reports/index.html",
        "reports/trends.html",
        "models/export",


# DVC runs the stages that work by shard through these rules.
rule fetch_all:
    input:
        RAW,
        PICTURES,


rule inspect_all:
    input:
        INSPECTED,


# A checkpoint: which shards have new rows, and thus new jobs, is known when it has run.
checkpoint collect:
    """List the pictures of the sources in a manifest."""
    input:
        code=code_inputs("collect"),
        folders=session.folders,
        lists=session.lists,
        forgotten=FORGOTTEN_FILE,
    output:
        manifest="data/manifest.parquet",
        by_shard=directory("data/manifest"),
    log:
        "logs/collect.log",
    benchmark:
        "logs/benchmarks/collect.tsv"
    conda:
        "environment.yml"
    resources:
        mem_mb=session.memory_mb("collect"),
        runtime=720,  # minutes
    params:
        section=session.section("collect"),
        sources=session.state_of_sources,
        downloads="data/sources",
        scratch=".scratch/web",
    shell:
        "python -m pipeline collect --params {params.section:q} --log {log} --forgotten {input.forgotten}"
        " --manifest {output.manifest} --by-shard {output.by_shard}"
        " --downloads {params.downloads} --scratch {params.scratch}"


def after_collect(path):
    """An input at `path` of the jobs of a shard, which Snakemake looks at again once `collect` has run.

    A shard whose rows are the same as before, by their checksum, then has no jobs.
    """

    def of_shard(wildcards):
        checkpoints.collect.get()
        return path.format(shard=wildcards.shard)

    return of_shard


rule fetch:
    """Fetch the bytes of one shard's pictures."""
    input:
        code=code_inputs("fetch"),
        folders=ancient(session.folders),
        forgotten=FORGOTTEN_FILE,
        manifest=after_collect(ROWS),
    output:
        shard="data/raw/{shard}.tar",
        table="data/raw/{shard}.parquet",
    log:
        "logs/fetch/{shard}.log",
    benchmark:
        "logs/benchmarks/fetch/{shard}.tsv"
    retries: 2
    conda:
        "environment.yml"
    resources:
        mem_mb=session.memory_mb("fetch"),
        runtime=720,  # minutes
    params:
        section=session.section("fetch"),
        pictures=session.state_of_pictures(ROWS),
        downloads="data/sources",
        scratch=".scratch/web",
    shell:
        "python -m pipeline fetch --params {params.section:q} --log {log} --manifest {input.manifest}"
        " --forgotten {input.forgotten} --downloads {params.downloads} --shard {output.shard} --table {output.table}"
        " --scratch {params.scratch}"


rule inspect:
    """Decode and measure one shard's pictures."""
    input:
        code=code_inputs("inspect"),
        shard=after_collect("data/raw/{shard}.tar"),
        raw_table=after_collect("data/raw/{shard}.parquet"),
    output:
        table="data/inspect/{shard}.parquet",
    log:
        "logs/inspect/{shard}.log",
    benchmark:
        "logs/benchmarks/inspect/{shard}.tsv"
    conda:
        "environment.yml"
    resources:
        mem_mb=session.memory_mb("inspect"),
        runtime=120,  # minutes
    params:
        section=session.section("inspect"),
        scratch=".scratch/inspect",
    shell:
        "python -m pipeline inspect --params {params.section:q} --log {log} --shard {input.shard}"
        " --raw-table {input.raw_table} --table {output.table} --scratch {params.scratch}"


rule dedup:
    """Group near-duplicates and choose one of each group."""
    input:
        code=code_inputs("dedup"),
        raw_tables=RAW,
        inspect_tables=INSPECTED,
        known=session.known,
    output:
        duplicates="data/duplicates.parquet",
    log:
        "logs/dedup.log",
    benchmark:
        "logs/benchmarks/dedup.tsv"
    conda:
        "environment.yml"
    resources:
        mem_mb=session.memory_mb("dedup"),
        runtime=240,  # minutes
    params:
        section=session.section("dedup"),
        raw_tables=RAW_TABLES,
        inspect_tables=INSPECT_TABLES,
        known=KNOWN_FOLDER,
        scratch=".scratch/dedup",
    shell:
        "python -m pipeline dedup --params {params.section:q} --log {log} --raw-tables @{params.raw_tables}"
        " --inspect-tables @{params.inspect_tables} --known {params.known} --duplicates {output.duplicates}"
        " --scratch {params.scratch}"


rule curate:
    """Keep or drop every picture, with a reason, and split by duplicate group."""
    input:
        code=code_inputs("curate"),
        raw_tables=RAW,
        shards=PICTURES,
        inspect_tables=INSPECTED,
        duplicates="data/duplicates.parquet",
        overrides="overrides.csv",
    output:
        curated="data/curated.parquet",
        page=report(
            "reports/curation.html",
            category="Report",
            caption="docs/captions/curation.rst",
        ),
    log:
        "logs/curate.log",
    benchmark:
        "logs/benchmarks/curate.tsv"
    conda:
        "environment.yml"
    resources:
        mem_mb=session.memory_mb("curate"),
        runtime=60,  # minutes
    params:
        section=session.section("curate"),
        raw_tables=RAW_TABLES,
        shards=SHARDS,
        inspect_tables=INSPECT_TABLES,
    shell:
        "python -m pipeline curate --params {params.section:q} --log {log} --raw-tables @{params.raw_tables} --shards @{params.shards}"
        " --inspect-tables @{params.inspect_tables} --duplicates {input.duplicates} --overrides {input.overrides}"
        " --curated {output.curated} --page {output.page}"


rule trends:
    """Follow what is published and forecast what will be worn."""
    input:
        code=code_inputs("trends"),
        manifest="data/manifest.parquet",
        inspect_tables=INSPECTED,
        curated="data/curated.parquet",
        shards=PICTURES,
        signals="signals.csv",
    output:
        trends="data/trends.parquet",
        summary="reports/trends.json",
        page=report(
            "reports/trends.html",
            category="Report",
            caption="docs/captions/trends.rst",
        ),
    log:
        "logs/trends.log",
    benchmark:
        "logs/benchmarks/trends.tsv"
    conda:
        "environment.yml"
    resources:
        mem_mb=session.memory_mb("trends"),
        runtime=120,  # minutes
    params:
        section=session.section("trends"),
        shards=SHARDS,
        inspect_tables=INSPECT_TABLES,
    shell:
        "python -m pipeline trends --params {params.section:q} --log {log} --manifest {input.manifest}"
        " --inspect-tables @{params.inspect_tables} --curated {input.curated} --shards @{params.shards} --signals {input.signals}"
        " --trends {output.trends} --summary {output.summary} --page {output.page}"


rule augment:
    """Pack the training array and the untouched reference sets."""
    input:
        code=code_inputs("augment"),
        curated="data/curated.parquet",
        shards=PICTURES,
    output:
        train=directory("data/train"),
    log:
        "logs/augment.log",
    benchmark:
        "logs/benchmarks/augment.tsv"
    conda:
        "environment.yml"
    resources:
        mem_mb=session.memory_mb("augment"),
        runtime=240,  # minutes
    params:
        section=session.section("augment"),
        shards=SHARDS,
    shell:
        "python -m pipeline augment --params {params.section:q} --log {log} --curated {input.curated}"
        " --shards @{params.shards} --train {output.train}"


rule reference:
    """Prepare what generated pictures are measured against."""
    input:
        code=code_inputs("reference"),
        train=rules.augment.output.train,
    output:
        reference=directory("models/reference"),
    log:
        "logs/reference.log",
    benchmark:
        "logs/benchmarks/reference.tsv"
    conda:
        "environment.yml"
    threads: PARAMS.reference.threads
    resources:
        mem_mb=session.memory_mb("reference"),
        runtime=120,  # minutes
        gpu=int(job_resources.has_gpu()),  # without one, it runs beside the training
    params:
        section=session.section("reference"),
        scratch=".scratch/weights",
    shell:
        "python -m pipeline reference --params {params.section:q} --log {log} --train {input.train}"
        " --reference {output.reference} --scratch {params.scratch}"


rule train:
    """Train the GAN."""
    input:
        code=code_inputs("train"),
        train=rules.augment.output.train,
    output:
        gan=directory("models/gan"),
    log:
        "logs/train.log",
    benchmark:
        "logs/benchmarks/train.tsv"
    conda:
        "environment.yml"
    threads: PARAMS.train.threads * PARAMS.train.processes
    resources:
        mem_mb=session.memory_mb("train"),
        runtime=1440,  # minutes
        gpu=1,
    params:
        section=session.section("train"),
        scratch=".scratch/train",
    shell:
        "python -m pipeline train --params {params.section:q} --log {log} --train {input.train}"
        " --gan {output.gan} --scratch {params.scratch}"


rule evaluate:
    """Measure the GAN against the reference set."""
    input:
        code=code_inputs("evaluate"),
        train=rules.augment.output.train,
        reference=rules.reference.output.reference,
        gan=rules.train.output.gan,
    output:
        metrics="reports/metrics.json",
        scores="reports/scores.json",
        evaluation=report(
            directory("reports/evaluation"),
            patterns=["{name}.png"],
            category="Pictures",
            caption="docs/captions/evaluation.rst",
        ),
    log:
        "logs/evaluate.log",
    benchmark:
        "logs/benchmarks/evaluate.tsv"
    conda:
        "environment.yml"
    threads: PARAMS.evaluate.threads
    resources:
        mem_mb=session.memory_mb("evaluate"),
        runtime=240,  # minutes
        gpu=1,
    params:
        section=session.section("evaluate"),
    shell:
        "python -m pipeline evaluate --params {params.section:q} --log {log} --train {input.train}"
        " --reference {input.reference} --gan {input.gan}"
        " --metrics {output.metrics} --scores {output.scores} --evaluation {output.evaluation}"


rule report:
    """Show pictures, numbers and where they come from on one page."""
    input:
        code=code_inputs("report"),
        manifest="data/manifest.parquet",
        raw_tables=RAW,
        shards=PICTURES,
        inspect_tables=INSPECTED,
        duplicates="data/duplicates.parquet",
        curated="data/curated.parquet",
        train="data/train",
        gan="models/gan",
        metrics="reports/metrics.json",
        evaluation="reports/evaluation",
        trends="reports/trends.json",
    output:
        page=report(
            "reports/index.html", category="Report", caption="docs/captions/report.rst"
        ),
        summary="reports/summary.md",
    log:
        "logs/report.log",
    benchmark:
        "logs/benchmarks/report.tsv"
    conda:
        "environment.yml"
    resources:
        mem_mb=session.memory_mb("report"),
        runtime=60,  # minutes
    params:
        section=session.section("report"),
        settings=session.settings(),
        raw_tables=RAW_TABLES,
        shards=SHARDS,
        inspect_tables=INSPECT_TABLES,
    shell:
        "python -m pipeline report --params {params.section:q} --log {log} --manifest {input.manifest}"
        " --settings {params.settings:q}"
        " --raw-tables @{params.raw_tables} --shards @{params.shards} --inspect-tables @{params.inspect_tables}"
        " --duplicates {input.duplicates} --curated {input.curated} --train {input.train} --gan {input.gan}"
        " --metrics {input.metrics} --evaluation {input.evaluation} --trends {input.trends}"
        " --page {output.page} --summary {output.summary}"


rule export:
    """Export the generator as ONNX and register it."""
    input:
        code=code_inputs("export"),
        reference=rules.reference.output.reference,
        gan=rules.train.output.gan,
    output:
        export=directory("models/export"),
    log:
        "logs/export.log",
    benchmark:
        "logs/benchmarks/export.tsv"
    conda:
        "environment.yml"
    resources:
        mem_mb=session.memory_mb("export"),
        runtime=60,  # minutes
    params:
        section=session.section("export"),
    shell:
        "python -m pipeline export --params {params.section:q} --log {log} --reference {input.reference} --gan {input.gan}"
        " --export {output.export}"
