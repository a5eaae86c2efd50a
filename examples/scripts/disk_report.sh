# Any shell script is a job: this one tells how full the disks are, one line a second.
# Try it with `etl run disk_report.sh -- 5`, and with `etl cancel` in the middle.
set -eu
count=${1:-3}
echo "job ${ETL_JOB_ID:-none}, attempt ${ETL_ATTEMPT:-none}, scratch directory ${ETL_WORK_DIR:-none}"
df -P | sort >"${ETL_WORK_DIR:-${TMPDIR:-/tmp}}/disks.txt"
for number in $(seq "$count"); do
    echo "look $number of $count: $(df -P . | awk 'NR == 2 { print $5 " used of " $6 }')"
    [ "$number" = "$count" ] || sleep 1
done
echo "warnings go to stderr and keep their place in the log" >&2
