"""Command lines for `hadoop fs` that Hadoop's own client and ours are both given.

TREE and LOCAL are the same for both; MINE is a folder of HDFS and SCRATCH one of this host that only one of them uses.
Each command names many paths, because a start of Java takes a second.
"""

from __future__ import annotations

TREE, LOCAL, MINE, SCRATCH = "/compared/tree", "LOCAL", "MINE", "SCRATCH"
ALICE, ROOT = "alice", "root"

#: user, words; nothing is changed
READS: tuple[tuple[str, str], ...] = (
    (
        ROOT,
        f"-ls {TREE} {TREE}/ {TREE}/five /none hdfs:///compared/tree/sub hdfs://lab{TREE}/f* /none* hdfs:/none //x/y",
    ),
    (ROOT, f"-ls -R -h {TREE}"),
    (ROOT, f"-ls -C -S -r {TREE}/../tree"),
    (ROOT, f"-cat {TREE}/five /none {TREE} {TREE}/empty hdfs:///compared/tree/{{five,[a-c]ig}} {TREE}/sub/?"),
    (ROOT, f"-stat {TREE} {TREE}/five /none"),
    (ROOT, f"-stat %F|%b|%n|%o|%r|%u|%g|%a|%A|%y|%x|%Y|%X|%z|%% {TREE} {TREE}/five hdfs:///none"),
    (ROOT, f"-du -s -h -v {TREE} {TREE}/five"),
    (ROOT, f"-du {TREE} /none"),
    (ROOT, f"-test -e {TREE}"),
    (ROOT, "-test -e /none"),
    (ROOT, f"-test -z {TREE}/five"),
    (ROOT, "-ls foo:///x"),
    (ALICE, f"-ls {TREE}/private {TREE}/sub"),
    (ALICE, f"-cat {TREE}/private/x {TREE}/five"),
    (ALICE, f"-test -w {TREE}/five"),
)

#: user, words; what they leave is compared, too
CHANGES: tuple[tuple[str, str], ...] = (
    (ROOT, f"-copyToLocal hdfs://lab{TREE}/big SCRATCH/km"),
    (ROOT, f"-copyToLocal hdfs://lab{TREE}/five SCRATCH/km"),
    (ROOT, "-copyToLocal hdfs:///none SCRATCH/none"),
    (ROOT, "-copyToLocal hdfs:///compared/tree/five SCRATCH/no/folder"),
    (ROOT, f"-get {TREE}/five {TREE}/sub SCRATCH"),
    (ALICE, f"-get {TREE}/private/x SCRATCH/private"),
    (ROOT, "-mkdir MINE/d MINE/d MINE/a/b hdfs://lab/MINE"),
    (ROOT, "-mkdir -p MINE/a/b/c MINE/d"),
    (ROOT, "-D dfs.replication=2 -put LOCAL/five LOCAL/big MINE"),
    (ROOT, "-D dfs.replication=2 -put LOCAL/empty MINE/five"),
    (ROOT, "-D dfs.replication=2 -put -f LOCAL/empty MINE/five"),
    (ROOT, "-put LOCAL/none MINE/x"),
    (ROOT, "-put LOCAL/five MINE/no/folder"),
    (ALICE, "-put LOCAL/five MINE/alice"),
    (ROOT, "-rm MINE/none MINE/d MINE/big"),
    (ROOT, "-rm -r -f MINE/none MINE/d"),
    (ROOT, "-ls -R MINE"),
)
