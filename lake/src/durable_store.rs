//! A local object store that survives power loss: what it says is written is on the disk.
//!
//! `object_store` 0.13 never calls fsync (0.14 can), so a commit that deltalake reports could be an empty file after
//! a power cut: rows lost, or a log entry that nobody can read. Here every put writes a staging file, syncs it, gives
//! it its name (by hard link where it must not exist yet, as the log demands) and syncs the folder. Data files are
//! written before the log entry that names them, so order is kept too. Reads and listings pass through, but for small
//! parts of files, which are read without another thread.

use std::fs::{self, File};
use std::io::Write as _;
use std::ops::Range;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::{Path as FilePath, PathBuf};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};

/// The store; `Path`s are absolute file paths.
#[derive(Debug)]
pub(crate) struct DurableStore {
    inner: LocalFileSystem,
}

impl DurableStore {
    pub(crate) fn new() -> Self {
        Self { inner: LocalFileSystem::new() }
    }
}

impl std::fmt::Display for DurableStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DurableStore")
    }
}

fn failed(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Generic { store: "DurableStore", source: source.into() }
}

fn sync_folder(folder: &FilePath) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Makes the folder and syncs each new one into its parent.
pub(crate) fn make_folder(folder: &FilePath) -> std::io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(parent) = folder.parent() {
        make_folder(parent)?;
        match fs::create_dir(folder) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(error),
            _ => sync_folder(parent)?,
        }
    }
    Ok(())
}

enum Put {
    Done,
    Exists,
}

fn put_file(target: &FilePath, payload: &PutPayload, create: bool) -> std::io::Result<Put> {
    let folder = target.parent().unwrap_or(FilePath::new("/"));
    make_folder(folder)?;
    let name = target.file_name().unwrap_or_default();
    // A name that ends in '#' and digits marks a staging file: listings of the local store leave such names out.
    let mut staging = tempfile::Builder::new()
        .prefix(name)
        .suffix("#1")
        // The tables are for every user whom the umask lets in, not only for the one who writes them.
        .permissions(fs::Permissions::from_mode(0o666))
        .tempfile_in(folder)?;
    for chunk in payload.iter() {
        staging.write_all(chunk)?;
    }
    staging.as_file().sync_all()?;
    if create {
        match staging.persist_noclobber(target) {
            Err(refused) if refused.error.kind() == std::io::ErrorKind::AlreadyExists => return Ok(Put::Exists),
            other => drop(other?),
        }
    } else {
        staging.persist(target)?;
    }
    sync_folder(folder)?;
    Ok(Put::Done)
}

/// Up to here parts of a file are read where they are asked for: another thread takes longer to wake up than the read
/// takes, and a query over a thousand small files wakes it some thousand times.
const AT_ONCE_BYTES_MAX: u64 = 2 * 1024 * 1024;

fn read_ranges(path: &FilePath, ranges: &[Range<u64>]) -> std::io::Result<Vec<Bytes>> {
    let file = File::open(path)?;
    let part = |range: &Range<u64>| {
        let length = usize::try_from(range.end.saturating_sub(range.start)).map_err(std::io::Error::other)?;
        let mut bytes = vec![0; length];
        file.read_exact_at(&mut bytes, range.start)?;
        Ok(Bytes::from(bytes))
    };
    ranges.iter().map(part).collect()
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> std::io::Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(failed)?.map_err(failed)
}

#[async_trait]
impl ObjectStore for DurableStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        let create = match opts.mode {
            PutMode::Overwrite => false,
            PutMode::Create => true,
            PutMode::Update(_) => {
                return Err(Error::NotSupported { source: "conditional update of a local file".into() });
            }
        };
        let target = self.inner.path_to_filesystem(location)?;
        let shown = location.to_string();
        match blocking(move || put_file(&target, &payload, create)).await? {
            Put::Done => Ok(PutResult { e_tag: None, version: None }),
            Put::Exists => Err(Error::AlreadyExists { path: shown, source: "the file exists".into() }),
        }
    }

    async fn put_multipart_opts(&self, location: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        let target = self.inner.path_to_filesystem(location)?;
        Ok(Box::new(DurableUpload { upload: self.inner.put_multipart_opts(location, opts).await?, target }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let bytes: u64 = ranges.iter().map(|range| range.end.saturating_sub(range.start)).sum();
        if bytes > AT_ONCE_BYTES_MAX {
            return self.inner.get_ranges(location, ranges).await;
        }
        let path = self.inner.path_to_filesystem(location)?;
        read_ranges(&path, ranges).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Error::NotFound { path: location.to_string(), source: error.into() },
            _ => failed(error),
        })
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await?;
        let target = self.inner.path_to_filesystem(to)?;
        blocking(move || sync_file(&target)).await
    }
}

fn sync_file(target: &FilePath) -> std::io::Result<()> {
    File::open(target)?.sync_all()?;
    sync_folder(target.parent().unwrap_or(FilePath::new("/")))
}

/// A large file in parts: synced when it is complete, before anything can refer to it.
#[derive(Debug)]
struct DurableUpload {
    upload: Box<dyn MultipartUpload>,
    target: PathBuf,
}

#[async_trait]
impl MultipartUpload for DurableUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.upload.put_part(data)
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let result = self.upload.complete().await?;
        let target = self.target.clone();
        blocking(move || sync_file(&target)).await?;
        Ok(result)
    }

    async fn abort(&mut self) -> Result<()> {
        self.upload.abort().await
    }
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt as _;
    use object_store::ObjectStoreExt as _;

    use super::*;

    #[tokio::test]
    async fn parts_of_a_file_are_the_same_however_many_bytes_they_have() {
        let folder = tempfile::tempdir().unwrap();
        let store = DurableStore::new();
        let at = |name: &str| Path::from_absolute_path(folder.path().join(name)).unwrap();
        let length = usize::try_from(AT_ONCE_BYTES_MAX).unwrap() + 9;
        let text: Vec<u8> = (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect();
        store.put_opts(&at("file"), text.clone().into(), PutOptions::default()).await.unwrap();
        for ranges in [[0..4, 2..7], [3..3, 1..2], [0..AT_ONCE_BYTES_MAX, 5..5], [0..AT_ONCE_BYTES_MAX + 9, 1..2]] {
            let wanted: Vec<&[u8]> = ranges
                .iter()
                .map(|range| &text[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()])
                .collect();
            assert_eq!(store.get_ranges(&at("file"), &ranges).await.unwrap(), wanted);
        }
        // One byte more than there is: half an answer would be half a file.
        let beyond = u64::try_from(length).unwrap();
        assert!(store.get_ranges(&at("file"), &[0..1, beyond - 1..beyond + 1]).await.is_err());
        let gone = store.get_ranges(&at("gone"), &[0..1, 1..2]).await;
        assert!(matches!(gone, Err(Error::NotFound { .. })), "{gone:?}");
    }

    #[tokio::test]
    async fn a_name_is_given_once_and_leaves_no_staging_file() {
        let folder = tempfile::tempdir().unwrap();
        let store = DurableStore::new();
        let at = |name: &str| Path::from_absolute_path(folder.path().join(name)).unwrap();
        let create = || PutOptions::from(PutMode::Create);
        store.put_opts(&at("log/0.json"), "one".into(), create()).await.unwrap();
        let second = store.put_opts(&at("log/0.json"), "two".into(), create()).await;
        assert!(matches!(second, Err(Error::AlreadyExists { .. })), "{second:?}");
        store.put_opts(&at("log/1.json"), "three".into(), PutOptions::default()).await.unwrap();
        store.put_opts(&at("log/1.json"), "four".into(), PutOptions::default()).await.unwrap();
        let text = |name: &'static str| {
            let (store, path) = (&store, at(name));
            async move { store.get(&path).await.unwrap().bytes().await.unwrap() }
        };
        assert_eq!((&text("log/0.json").await[..], &text("log/1.json").await[..]), (&b"one"[..], &b"four"[..]));
        let names: Vec<_> = fs::read_dir(folder.path().join("log")).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names.len(), 2, "{names:?}");
        let listed: Vec<_> = store.list(Some(&at("log"))).try_collect().await.unwrap();
        assert_eq!(listed.len(), 2);
    }
}
