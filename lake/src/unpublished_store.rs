//! A store whose writes stay in memory: what deltalake writes through it is looked at before anybody can read it.
//!
//! Reads see what was written, else the store beneath; listings and deletions know only the store beneath. It lives
//! for one write.

use std::sync::Arc;

use async_trait::async_trait;
use futures::TryStreamExt as _;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt as _, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

/// The store; its paths are those of the store beneath.
#[derive(Debug)]
pub(crate) struct UnpublishedStore {
    beneath: Arc<dyn ObjectStore>,
    written: InMemory,
}

impl UnpublishedStore {
    pub(crate) fn over(beneath: Arc<dyn ObjectStore>) -> Self {
        Self { beneath, written: InMemory::new() }
    }

    /// Everything that was written, by path.
    pub(crate) async fn written(&self) -> Result<Vec<(Path, bytes::Bytes)>> {
        let mut found = Vec::new();
        for object in self.written.list(None).try_collect::<Vec<_>>().await? {
            let bytes = self.written.get(&object.location).await?.bytes().await?;
            found.push((object.location, bytes));
        }
        Ok(found)
    }
}

impl std::fmt::Display for UnpublishedStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("UnpublishedStore")
    }
}

#[async_trait]
impl ObjectStore for UnpublishedStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        self.written.put_opts(location, payload, opts).await
    }

    async fn put_multipart_opts(&self, location: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.written.put_multipart_opts(location, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        match self.written.get_opts(location, options.clone()).await {
            Err(Error::NotFound { .. }) => self.beneath.get_opts(location, options).await,
            found => found,
        }
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.beneath.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.beneath.list(prefix)
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.beneath.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.beneath.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.beneath.copy_opts(from, to, options).await
    }
}
