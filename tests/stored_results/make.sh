#!/bin/sh
# Makes the results folders that lie here, with the command line, in the folder it is called from.
# Call it from the root of a clean checkout that lies at a neutral place (records hold the paths they were made at):
#     PATH=$PWD/.venv/bin:$PATH sh tests/stored_results/make.sh
set -e

NAF="--set naf.base=4 --set naf.log2_entries=6 --set naf.hidden=8 --set naf.refine=10"
ZERORF="--set zerorf.steps=6 --set zerorf.members=1 --set zerorf.channels=[4] --set zerorf.noise=6 --set zerorf.noise_channels=2"
ZERORF="$ZERORF --set zerorf.features=2 --set zerorf.hidden=8 --set zerorf.average=0 --set zerorf.refine=10"
CARVE="--set carve.voxels=6 --set carve.networks=1 --set carve.levels=1 --set carve.channels=2 --set carve.hidden=8 --set carve.steps=10"

# sample: five methods on measured projections, one of them with two seeds
SAMPLE="--datasets walnut_sample --views 6 --size 12 --set walnut_sample.heldout=2 --device cpu --output sample --no-report"
python -m benchmark run $SAMPLE --methods fdk,sart,fista_tv,zerorf $ZERORF
python -m benchmark run $SAMPLE --methods naf --set naf.steps=60 $NAF --seeds 0,1

# scan: a scan of one's own, all numbers from files, so that its digest is the same on every machine
python -m benchmark export-scan walnut_sample --views 6 --size 12 --set walnut_sample.heldout=2 --output scan

# interrupted: ended (as by Ctrl-C) while naf was being fitted to that scan; whole: the same run without
OWN="--scan scan --views 6 --size 12 --set naf.steps=200 $NAF --device cpu --threads 1 --no-report"
python -m benchmark run $OWN --methods fdk,sart,naf --checkpoint-every 0.1s --output interrupted &
until ls interrupted/runs/*-naf-*/checkpoint.pt 2>/dev/null; do sleep 0.02; done
kill $!
wait $! || test $? = 130
python -m benchmark run $OWN --methods naf --output whole

# ball: two runs that ended well; one skipped; one that failed; one ended by --timeout; a volume from elsewhere
BALL="--datasets ball --views 5 --size 10 --set ball.heldout=2 --device cpu --output ball --no-report"
python -m benchmark run $BALL --methods fdk,sart
python -m benchmark run $BALL --methods naf --set naf.steps=5 --set naf.engine=tinycudann $NAF
python -m benchmark run $BALL --methods naf --set naf.steps=5 --set naf.learning_rate=1e30 $NAF || test $? = 1
python -m benchmark run $BALL --methods naf --set naf.steps=1000000 $NAF --timeout 12s --checkpoint-every 0.5s || test $? = 1
python -m benchmark export ball/runs/ball-5v-fdk-* --truth --format npy --output truth.npy
python -m benchmark import-volume truth.npy --results ball --case ball --name theirs --source "the truth itself"

# noisy: photon noise; scored again while a plug-in with a metric of its own was installed
python -m benchmark run --datasets phantom --views 5 --size 10 --photons 1e4 --set phantom.heldout=2 --methods fdk,sart --device cpu \
    --budget 8projections --output noisy --no-report
mkdir -p plugin/largest_error-1.0.dist-info
cat > plugin/largest_error.py <<'END'
from benchmark.api import MetricSpec, hookimpl


def largest_error(prediction, truth):
    return float(abs(prediction - truth).max())


@hookimpl
def register_metrics():
    return [MetricSpec(name="largest_error", kind="volume", target=largest_error, unit="1/mm", higher_is_better=False, protocol="mine")]
END
printf 'Metadata-Version: 2.1\nName: largest-error\nVersion: 1.0\n' > plugin/largest_error-1.0.dist-info/METADATA
printf '[benchmark]\nlargest_error = largest_error\n' > plugin/largest_error-1.0.dist-info/entry_points.txt
PYTHONPATH=plugin python -m benchmark reevaluate noisy

# photographs: a body seen by three cameras; fdk understands line integrals only and is skipped
python -m benchmark run --datasets multiview --views 3 --size 8 --set multiview.pixels=12 --set multiview.heldout=1 --methods carve,fdk $CARVE \
    --device cpu --output photographs --no-report

# the tables of each, without the figures, the page, and the table for LaTeX
for folder in sample interrupted whole ball noisy photographs; do
    python -m benchmark report $folder
    rm -r $folder/figures $folder/report.html $folder/tables/summary.tex
done
rm -r plugin truth.npy*
