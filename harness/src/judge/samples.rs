//! The samples of a run: in memory for the judge, and on disk as they come, so that a killed run still has its own.
//!
//! The file is OpenMetrics with timestamps, in the order of time, compressed: its labels say the same again every
//! second. What could not be written is missing on disk only, and [`Samples::failure`] tells. OpenMetrics has no word for the end of a series, so
//! that is a sample of a metric of ours: `meshquake_series_ended{series="…"} 1`.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flate2::Compression;
use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;
use meshquake_promql::{Labels, METRIC_NAME, OutOfOrder, Sample, Store, is_stale, stale_marker};

use super::exposition;

/// The metric that stands for the end of another series.
const ENDED: &str = "meshquake_series_ended";
/// Its label that holds the series which ended.
const SERIES: &str = "series";
/// The file's name in a run's folder.
pub const FILE: &str = "samples.om.gz";
/// How a compressed file begins.
const GZIP: [u8; 2] = [0x1f, 0x8b];

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot write samples to {}", path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot read samples from {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{}:{line}: no sample: `{text}`", path.display())]
    NoSample { path: PathBuf, line: usize, text: String },
    #[error(transparent)]
    OutOfOrder(#[from] OutOfOrder),
}

/// A new value of a series.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    pub labels: Labels,
    pub value: f64,
    /// It counts up from zero.
    pub counts: bool,
}

/// The samples of one run; clones share them.
#[derive(Clone, Default)]
pub struct Samples {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    store: Store,
    file: Option<(PathBuf, GzEncoder<BufWriter<File>>)>,
    /// Why the file ended before the samples did.
    failed: Option<Error>,
}

impl Samples {
    /// Samples that are only in memory.
    pub fn in_memory() -> Self {
        Self::default()
    }

    /// Samples that are also written to a new file, each batch at once.
    pub fn to_file(path: &Path) -> Result<Self, Error> {
        let file = File::create(path).map_err(|source| Error::Write { path: path.to_owned(), source })?;
        Ok(Self::into_file(path, file))
    }

    fn into_file(path: &Path, file: File) -> Self {
        let file = GzEncoder::new(BufWriter::new(file), Compression::fast());
        let inner = Inner { store: Store::new(), file: Some((path.to_owned(), file)), failed: None };
        Self { inner: Arc::new(Mutex::new(inner)) }
    }

    /// Why not every sample is on disk.
    pub fn failure(&self) -> Option<String> {
        let inner = self.lock();
        inner.failed.as_ref().map(|failed| match failed {
            Error::Write { source, .. } => format!("{failed}: {source}"),
            other => other.to_string(),
        })
    }

    /// Adds what was seen at one time. A counter that was never seen before was zero at `zero_at`, if that is given:
    /// else its first second would be lost to `increase`.
    pub fn append(&self, at: i64, zero_at: Option<i64>, readings: &[Reading]) -> Result<(), Error> {
        let mut inner = self.lock();
        // Zeros first: the file is in the order of time.
        if let Some(zero_at) = zero_at.filter(|zero_at| *zero_at < at) {
            for reading in readings.iter().filter(|reading| reading.counts) {
                if inner.store.samples(&reading.labels).is_empty() {
                    inner.append(&reading.labels, Sample { at: zero_at, value: 0.0 })?;
                }
            }
        }
        for reading in readings {
            // Of all NaNs only the marker has a meaning, and no page can say it.
            let value = if reading.value.is_nan() { f64::NAN } else { reading.value };
            inner.append(&reading.labels, Sample { at, value })?;
        }
        inner.flush();
        Ok(())
    }

    /// Ends series that are gone since `at`.
    pub fn end<'a>(&self, at: i64, series: impl IntoIterator<Item = &'a Labels>) -> Result<(), Error> {
        let mut inner = self.lock();
        for labels in series {
            let alive = inner.store.samples(labels).last().is_some_and(|last| !is_stale(last.value));
            if alive {
                inner.append(labels, Sample { at, value: stale_marker() })?;
            }
        }
        inner.flush();
        Ok(())
    }

    /// Looks at the samples; they do not grow meanwhile.
    pub fn read<T>(&self, look: impl FnOnce(&Store) -> T) -> T {
        look(&self.lock().store)
    }

    /// The sum of a query's values now, zero where there is none: for totals that are watched for growth.
    pub fn total(&self, query: &meshquake_promql::Query, at: i64) -> f64 {
        let value = self.read(|store| query.evaluate(store, at));
        value.map_or(0.0, |value| value.numbers().iter().filter(|number| number.is_finite()).sum())
    }

    /// Says on disk that these are all samples.
    pub fn close(&self) -> Result<(), Error> {
        let mut inner = self.lock();
        if let Some((path, mut file)) = inner.file.take() {
            let closed = writeln!(file, "# EOF").and_then(|()| file.finish()?.flush());
            closed.map_err(|source| Error::Write { path, source })?;
        }
        inner.failed.take().map_or(Ok(()), Err)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic elsewhere leaves the samples as they are: each is added whole.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn append(&mut self, labels: &Labels, sample: Sample) -> Result<(), Error> {
        self.store.append(labels, sample)?;
        self.write(|file| write_sample(file, labels, sample));
        Ok(())
    }

    fn flush(&mut self) {
        self.write(|file| file.flush());
    }

    fn write(&mut self, act: impl FnOnce(&mut GzEncoder<BufWriter<File>>) -> std::io::Result<()>) {
        let Some((path, file)) = &mut self.file else { return };
        if let Err(source) = act(file) {
            self.failed = Some(Error::Write { path: path.clone(), source });
            // Whatever came after a hole would be read as if there were none.
            self.file = None;
        }
    }
}

fn write_sample(into: &mut impl Write, labels: &Labels, sample: Sample) -> std::io::Result<()> {
    if is_stale(sample.value) {
        let series = Labels::named(ENDED).with(SERIES, &series_text(labels));
        return write_sample(into, &series, Sample { at: sample.at, value: 1.0 });
    }
    let value = match sample.value {
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        value => value.to_string(),
    };
    let text = labels.text().map_or_else(|| Cow::Owned(series_text(labels)), Cow::Borrowed);
    // In one piece, as each one is looked at by the compression.
    into.write_all(format!("{text} {value} {}.{:03}\n", sample.at / 1000, sample.at % 1000).as_bytes())
}

/// A series as the format writes it.
pub(super) fn series_text(labels: &Labels) -> String {
    let others = labels.iter().filter(|(name, _)| *name != METRIC_NAME);
    let pairs: Vec<_> =
        others.map(|(name, value)| format!("{name}=\"{}\"", exposition::escaped(value))).collect();
    if pairs.is_empty() {
        labels.metric().to_owned()
    } else {
        format!("{}{{{}}}", labels.metric(), pairs.join(","))
    }
}

/// Reads samples back, exactly as they were. A last line that a killed run did not finish is left out.
pub fn load(path: &Path) -> Result<Store, Error> {
    let read = |source| Error::Read { path: path.to_owned(), source };
    let mut file = BufReader::new(File::open(path).map_err(read)?);
    let compressed = file.fill_buf().map_err(read)?.starts_with(&GZIP);
    let mut reader: Box<dyn BufRead> =
        if compressed { Box::new(BufReader::new(MultiGzDecoder::new(file))) } else { Box::new(file) };
    let mut store = Store::new();
    let mut text = String::new();
    for line in 1.. {
        text.clear();
        match reader.read_line(&mut text) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => break,
            read_line => read_line.map_err(read)?,
        };
        if !text.ends_with('\n') {
            break;
        }
        if text.starts_with('#') || text.trim().is_empty() {
            continue;
        }
        let (labels, sample) = read_sample(&text).ok_or_else(|| Error::NoSample {
            path: path.to_owned(),
            line,
            text: text.trim_end().chars().take(120).collect(),
        })?;
        store.append(&labels, sample)?;
    }
    Ok(store)
}

fn read_sample(text: &str) -> Option<(Labels, Sample)> {
    let (series, rest) = text.trim_end().rsplit_once(' ').and_then(|(left, at)| {
        let (series, value) = left.rsplit_once(' ')?;
        Some((series, (value, at)))
    })?;
    let (value, at) = rest;
    let (seconds, thousandths) = at.split_once('.')?;
    let at = seconds.parse::<i64>().ok()? * 1000 + thousandths.parse::<i64>().ok()?;
    let labels = read_series(series)?;
    if labels.metric() == ENDED {
        let series = read_series(labels.get(SERIES))?;
        return Some((series, Sample { at, value: stale_marker() }));
    }
    Some((labels, Sample { at, value: exposition::number(value)? }))
}

fn read_series(text: &str) -> Option<Labels> {
    let mut readings = exposition::read(&format!("{text} 0\n")).ok()?;
    readings.pop().filter(|_| readings.is_empty()).map(|reading| reading.labels)
}

/// The distinct times at which a metric has samples, between two times with both ends.
pub(super) fn times(store: &Store, metric: &str, from: i64, to: i64) -> BTreeSet<i64> {
    let samples = store.metric(metric).flat_map(|(_, samples)| samples);
    samples
        .filter(|sample| !is_stale(sample.value) && (from..=to).contains(&sample.at))
        .map(|sample| sample.at)
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reading(name: &str, value: f64, counts: bool) -> Reading {
        Reading { labels: Labels::named(name).with("pod", "a"), value, counts }
    }

    #[test]
    fn a_new_counter_was_zero_before_and_a_new_gauge_was_not_there() {
        let samples = Samples::in_memory();
        samples
            .append(2000, Some(1000), &[reading("c", 5.0, true), reading("g", 5.0, false)])
            .expect("in order");
        samples.append(3000, Some(2000), &[reading("c", 6.0, true)]).expect("in order");
        samples.read(|store| {
            let at = |name| -> Vec<_> {
                let labels = Labels::named(name).with("pod", "a");
                store.samples(&labels).iter().map(|sample| (sample.at, sample.value)).collect()
            };
            assert_eq!(at("c"), [(1000, 0.0), (2000, 5.0), (3000, 6.0)]);
            assert_eq!(at("g"), [(2000, 5.0)]);
        });
    }

    #[test]
    fn a_series_ends_once() {
        let samples = Samples::in_memory();
        samples.append(1000, None, &[reading("c", 1.0, true)]).expect("in order");
        let labels = Labels::named("c").with("pod", "a");
        for at in [2000, 3000] {
            samples.end(at, [&labels, &Labels::named("never")]).expect("in order");
        }
        samples.read(|store| {
            let times: Vec<_> = store.samples(&labels).iter().map(|sample| sample.at).collect();
            assert_eq!(times, [1000, 2000]);
            assert_eq!(store.series().count(), 1);
        });
    }

    #[test]
    fn a_line_that_was_not_finished_is_left_out() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("samples.om");
        std::fs::write(&path, "a{x=\"1\"} 2 1.000\na{x=\"1\"} 3 2.0").expect("written");
        let store = load(&path).expect("read");
        assert_eq!(store.samples(&Labels::named("a").with("x", "1")), [Sample { at: 1000, value: 2.0 }]);
    }

    #[test]
    fn a_full_disk_loses_the_file_and_not_the_samples() {
        let full = File::options().write(true).open("/dev/full").expect("every Linux has it");
        let samples = Samples::into_file(Path::new("samples"), full);
        assert_eq!(samples.failure(), None);
        for at in [1000, 2000] {
            samples.append(at, None, &[reading("c", 1.0, true)]).expect("in order");
        }
        assert_eq!(samples.read(|store| store.series().count()), 1);
        let told = samples.failure().expect("it is told");
        assert!(told.starts_with("cannot write samples to samples: No space left"), "{told}");
        assert!(samples.close().is_err());
    }

    #[test]
    fn the_file_is_a_small_part_of_what_it_says() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(FILE);
        let samples = Samples::to_file(&path).expect("created");
        let readings: Vec<_> = (0..200).map(|n| reading(&format!("requests_{n}_total"), 1.0, true)).collect();
        for at in 1..=50 {
            samples.append(at * 1000, None, &readings).expect("in order");
        }
        samples.close().expect("closed");
        let (lines, shortest_line) = (200 * 50, 40);
        let size = std::fs::metadata(&path).expect("there").len();
        assert!(size < lines * shortest_line / 5, "{size} bytes");
        let store = load(&path).expect("read");
        samples.read(|all| assert_eq!(&store, all));
    }

    #[test]
    fn a_line_that_is_no_sample_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("samples.om");
        std::fs::write(&path, "a 2 1.000\nnonsense\n").expect("written");
        let error = load(&path).expect_err("no sample").to_string();
        assert!(error.ends_with("samples.om:2: no sample: `nonsense`"), "{error}");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn the_file_gives_back_every_sample(batches in prop::collection::vec(
            (prop::collection::btree_map("(\\PC|[,={}\"\\\\\n ]){0,6}", prop::num::f64::ANY, 0..4), prop::bool::ANY), 1..6,
        )) {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("samples.om");
            let samples = Samples::to_file(&path).expect("created");
            let mut at = 1_700_000_000_123;
            for (readings, ends) in batches {
                let before = at;
                at += 1001;
                let readings: Vec<_> = readings
                    .into_iter()
                    .map(|(value, number)| Reading {
                        labels: Labels::named("m_total").with("v", &value),
                        value: number,
                        counts: true,
                    })
                    .collect();
                samples.append(at, Some(before), &readings).expect("in order");
                if ends {
                    at += 1;
                    samples.end(at, readings.iter().map(|reading| &reading.labels)).expect("in order");
                }
            }
            let killed = load(&path).expect("read before it was closed");
            samples.close().expect("closed");
            let whole = load(&path).expect("read");
            samples.read(|store| {
                prop_assert_eq!(&killed, store);
                prop_assert_eq!(&whole, store);
                Ok(())
            })?;
        }
    }
}
