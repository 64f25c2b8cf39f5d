//! The ingest plan as bytes, so that another process can run it.
//!
//! DataFusion encodes its own nodes; this codec adds [`EpochsExec`] and [`WriteShardsExec`].
//! The paths inside are those of the machine that made the plan: executors must see the raw
//! folder and the lake under the same names.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use datafusion_proto::physical_plan::{PhysicalExtensionCodec, PhysicalProtoConverterExtension};
use mmpipe_signal::recipe::Recipe;
use prost::Message;

use super::operators::{EpochsExec, WriteShardsExec, recipe_text};

/// Encodes and decodes the operators of the ingest plan.
#[derive(Debug, Clone, Copy, Default)]
pub struct IngestCodec;

#[derive(Clone, PartialEq, Message)]
struct Node {
    #[prost(enumeration = "Kind", tag = "1")]
    kind: i32,
    /// The raw folder or the lake's, as the bytes of the path.
    #[prost(bytes = "vec", tag = "2")]
    folder: Vec<u8>,
    #[prost(string, tag = "3")]
    recipe: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
enum Kind {
    Unknown = 0,
    Epochs = 1,
    WriteShards = 2,
}

fn wrong(message: impl std::fmt::Display) -> DataFusionError {
    DataFusionError::Plan(format!("not a node of an ingest plan: {message}"))
}

fn folder_bytes(folder: &Path) -> Vec<u8> {
    folder.as_os_str().as_encoded_bytes().to_vec()
}

#[cfg(unix)]
fn folder_path(bytes: Vec<u8>) -> Result<PathBuf> {
    use std::os::unix::ffi::OsStringExt;
    Ok(std::ffi::OsString::from_vec(bytes).into())
}

#[cfg(not(unix))]
fn folder_path(bytes: Vec<u8>) -> Result<PathBuf> {
    String::from_utf8(bytes).map(PathBuf::from).map_err(wrong)
}

impl PhysicalExtensionCodec for IngestCodec {
    fn try_decode(
        &self,
        buf: &[u8],
        inputs: &[Arc<dyn ExecutionPlan>],
        _: &TaskContext,
        _: &dyn PhysicalProtoConverterExtension,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let node = Node::decode(buf).map_err(wrong)?;
        let [input] = inputs else {
            return Err(wrong(format!("{} inputs", inputs.len())));
        };
        let kind = node.kind();
        let recipe = Arc::new(Recipe::parse(&node.recipe).map_err(wrong)?);
        let folder = folder_path(node.folder)?;
        Ok(match kind {
            Kind::Epochs => Arc::new(EpochsExec::new(input.clone(), folder, recipe)?),
            Kind::WriteShards => Arc::new(WriteShardsExec::new(input.clone(), folder, recipe)?),
            Kind::Unknown => return Err(wrong("unknown kind")),
        })
    }

    fn try_encode(
        &self,
        node: Arc<dyn ExecutionPlan>,
        buf: &mut Vec<u8>,
        _: &dyn PhysicalProtoConverterExtension,
    ) -> Result<()> {
        let (kind, folder, recipe) = if let Some(node) = node.downcast_ref::<EpochsExec>() {
            (Kind::Epochs, &node.raw, &node.recipe)
        } else if let Some(node) = node.downcast_ref::<WriteShardsExec>() {
            (Kind::WriteShards, &node.lake, &node.recipe)
        } else {
            return Err(wrong(node.name()));
        };
        let node = Node {
            kind: kind.into(),
            folder: folder_bytes(folder),
            recipe: recipe_text(recipe)?,
        };
        node.encode(buf).map_err(wrong)
    }
}
