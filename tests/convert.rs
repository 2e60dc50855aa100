//! Official files and checkpoints, made into each other.

mod common;

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::golden::{Golden, Layout};
use common::{assert_close, gpus, max_abs, run_on};
use proptest::prelude::*;
use spadework::config::{Config, LayerNorm, ModelConfig, NetG, NormG, NormKind, Upsampling};
use spadework::convert::{Known, export, import, pth, read_weights};
use spadework::data::{DatasetMode, LabelSpace};
use spadework::model::discriminator::{discriminator_params, discriminators};
use spadework::model::encoder::encoder_params;
use spadework::model::generator::generator_params;
use spadework::model::init::initial;
use spadework::model::net::{Mode, Net};
use spadework::model::{Generator, Inputs, planar};
use spadework::ops::Tensor;
use spadework::state::{HostTensor, StateDict};
use spadework::train::Checkpoint;
use spadework::windows::IdMap;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

/// A checkpoint with first weights.
fn checkpoint(model: ModelConfig) -> Checkpoint {
    let space = LabelSpace::new(model.label_nc, model.dontcare, model.edges);
    let config = Config {
        model,
        ..Config::default()
    };
    let mut params = generator_params(&config.model);
    params.extend(discriminator_params(&config.model));
    if config.model.use_vae {
        params.extend(encoder_params(&config.model));
    }
    let tensor = |spec: &spadework::model::params::ParamSpec| {
        let values = initial(spec, 7).expect("no tensor is given");
        (
            spec.name.clone(),
            HostTensor::new(spec.dims.clone(), values),
        )
    };
    let counters = params
        .counters()
        .iter()
        .map(|counter| (counter.name.clone(), 1234));
    Checkpoint {
        config: config.resolve(&space).unwrap(),
        space,
        progress: Default::default(),
        origin: Default::default(),
        networks: StateDict {
            tensors: params.specs().iter().map(tensor).collect(),
            counters: counters.collect(),
        },
        moments: BTreeMap::new(),
    }
}

fn small() -> ModelConfig {
    ModelConfig {
        label_nc: 5,
        dontcare: true,
        edges: true,
        ngf: 2,
        ndf: 3,
        spade_hidden: 6,
        crop_size: 64,
        ..ModelConfig::default()
    }
}

/// Whether shapes leave a norm open.
fn is_open(norm: LayerNorm) -> bool {
    matches!(norm.kind, NormKind::Group(_))
}

/// What shapes of a small model leave open.
fn known(model: &ModelConfig) -> Known {
    Known {
        label_nc: Some(model.label_nc),
        upsampling: (model.upsampling != Upsampling::Most).then_some(model.upsampling),
        crop_size: Some(model.crop_size),
        aspect_ratio: Some(model.aspect_ratio),
        norm_d: is_open(model.norm_d).then_some(model.norm_d),
        norm_e: (model.use_vae && is_open(model.norm_e)).then_some(model.norm_e),
        ..Known::default()
    }
}

fn pth_files(folder: &Path) -> Vec<PathBuf> {
    let files = ["G", "D", "E"].map(|letter| folder.join(format!("latest_net_{letter}.pth")));
    files.into_iter().filter(|path| path.exists()).collect()
}

fn write(state: &StateDict, path: &Path) {
    pth::write(state, &mut File::create(path).unwrap()).unwrap();
}

#[test]
fn shapes_tell_the_networks() {
    let norm_g = |text: &str| -> NormG { text.parse().unwrap() };
    let norm_d = |text: &str| -> LayerNorm { text.parse().unwrap() };
    for model in [
        small(),
        ModelConfig {
            norm_g: norm_g("spadeinstance5x5"),
            norm_d: norm_d("batch"),
            num_d: 1,
            n_layers_d: 3,
            ..small()
        },
        ModelConfig {
            norm_g: norm_g("spectralspadesyncbatch1x1"),
            norm_d: norm_d("spectralnone"),
            upsampling: Upsampling::Most,
            crop_size: 256,
            aspect_ratio: 2.0,
            num_d: 3,
            n_layers_d: 5,
            ..small()
        },
        ModelConfig {
            use_vae: true,
            z_dim: 9,
            enc_size: 128,
            upsampling: Upsampling::More,
            aspect_ratio: 0.5,
            norm_e: norm_d("spectralbatch"),
            ..small()
        },
        ModelConfig {
            use_vae: true,
            z_dim: 3,
            enc_size: 128,
            norm_d: norm_d("group3"),
            norm_e: norm_d("spectrallayer"),
            ..small()
        },
        ModelConfig {
            net_g: NetG::Concat,
            // Tells of the SPADE layers that it has not.
            spade_hidden: ModelConfig::default().spade_hidden,
            ..small()
        },
    ] {
        let folder = tempfile::tempdir().unwrap();
        let whole = checkpoint(model.clone());
        let written = export(whole.clone(), "latest", folder.path()).unwrap();
        let mut files = pth_files(folder.path());
        assert_eq!(written.len(), 2 * files.len(), "{written:?}");
        assert_eq!(files.len(), if model.use_vae { 3 } else { 2 });
        // In any order.
        files.reverse();
        let back = import(&files, &known(&model)).unwrap();
        assert_eq!(back.config.model, whole.config.model);
        assert_eq!(back.space, whole.space);
        assert!(back.networks == whole.networks, "to the bit");

        // The plain files hold the same, and nothing is overwritten.
        let plain: Vec<_> = files
            .iter()
            .map(|path| path.with_extension("safetensors"))
            .collect();
        assert!(import(&plain, &known(&model)).unwrap() == back);
        let again = export(whole, "latest", folder.path()).unwrap_err();
        assert_eq!(again.exit_code(), 2);
        // Such a checkpoint is an ordinary one.
        let path = folder.path().join("model.safetensors");
        back.clone().save(&path).unwrap();
        assert_eq!(Checkpoint::load(&path).unwrap(), back);
    }
}

#[test]
fn what_is_open_is_listed_and_not_guessed() {
    let folder = tempfile::tempdir().unwrap();
    let mut model = small();
    model.dontcare = false;
    let whole = checkpoint(model.clone());
    export(whole.clone(), "latest", folder.path()).unwrap();
    let files = pth_files(folder.path());
    let refusal = |known: &Known| {
        let error = import(&files, known).unwrap_err();
        (error.exit_code(), error.to_string())
    };
    let (code, everything) = refusal(&Known::default());
    assert_eq!(code, 2);
    for flag in [
        "6 channels",
        "--label-nc",
        "--no-instance",
        "--num-upsampling-layers",
        "--crop-size",
        "--aspect-ratio",
        "--dataset-mode",
    ] {
        assert!(everything.contains(flag), "{flag}: {everything}");
    }
    // One channel beyond the classes may be either.
    let half = known(&model);
    let (code, message) = refusal(&half);
    assert_eq!(code, 2);
    assert!(
        message.contains("--contain-dontcare-label=false") && !message.contains("--crop-size"),
        "{message}"
    );
    let decided = Known {
        dontcare: Some(false),
        ..half.clone()
    };
    assert_eq!(import(&files, &decided).unwrap().space, whole.space);
    let other_way = Known {
        edges: Some(false),
        ..half.clone()
    };
    assert!(import(&files, &other_way).unwrap().space.dontcare);
    // More channels than classes and what may come with them.
    let (code, message) = refusal(&Known {
        label_nc: Some(3),
        ..half
    });
    assert_eq!(code, 3);
    assert!(
        message.contains("6 channels") && message.contains("3 classes"),
        "{message}"
    );
}

/// No shape tells the groups of a group norm; what is told of a norm must be what the tensors are of.
#[test]
fn groups_of_norms_are_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let norm = |text: &str| -> Option<LayerNorm> { Some(text.parse().unwrap()) };
    let model = ModelConfig {
        norm_d: norm("spectralgroup3").unwrap(),
        norm_e: norm("sync_batch").unwrap(),
        use_vae: true,
        enc_size: 128,
        ..small()
    };
    let whole = checkpoint(model.clone());
    export(whole, "latest", folder.path()).unwrap();
    let files = pth_files(folder.path());
    let with = |norm_d, norm_e| {
        let known = Known {
            norm_d,
            norm_e,
            ..known(&model)
        };
        import(&files, &known)
    };
    // What no file is of cannot be told.
    let generator = files.iter().filter(|f| f.ends_with("latest_net_G.pth"));
    let generator: Vec<_> = generator.cloned().collect();
    let alone = Known {
        norm_d: norm("spectrallayer"),
        ..known(&model)
    };
    let error = import(&generator, &alone).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert!(error.to_string().contains("--norm-d"), "{error}");
    // Plain and synchronised batch norms have the same tensors.
    let agreed = with(norm("spectralgroup3"), norm("sync_batch")).unwrap();
    assert_eq!(agreed.config.model, model);
    let plain = with(norm("spectrallayer"), None).unwrap().config.model;
    assert_eq!(
        (Some(plain.norm_d), Some(plain.norm_e)),
        (norm("spectrallayer"), norm("batch"))
    );
    for (norm_d, norm_e, code, parts) in [
        (
            None,
            None,
            2,
            [
                "discriminator_0.model1.0.1.weight",
                "--norm-d spectrallayer",
            ],
        ),
        (
            norm("group3"),
            None,
            3,
            ["latest_net_D.pth", "norm_d = group3"],
        ),
        (
            norm("spectralinstance"),
            None,
            3,
            ["norm_d = spectralinstance", "group<N>"],
        ),
        (
            norm("spectralgroup3"),
            norm("instance"),
            3,
            ["latest_net_E.pth", "of batch"],
        ),
        (
            norm("spectralgroup4"),
            None,
            2,
            ["norm_d = spectralgroup4", "6 channels"],
        ),
    ] {
        let error = with(norm_d, norm_e).unwrap_err();
        assert_eq!(error.exit_code(), code, "{error}");
        for part in parts {
            assert!(error.to_string().contains(part), "{part}: {error}");
        }
    }
}

#[test]
fn published_data_sets_decide_everything() {
    let folder = tempfile::tempdir().unwrap();
    for (mode, label_nc, dontcare, edges, size) in [
        (DatasetMode::Coco, 182, true, true, [256, 256]),
        (DatasetMode::Ade20k, 150, true, false, [256, 256]),
        (DatasetMode::Cityscapes, 35, false, true, [256, 512]),
        (DatasetMode::Facades, 13, false, false, [256, 256]),
    ] {
        let model = ModelConfig {
            label_nc,
            dontcare,
            edges,
            ngf: 1,
            ndf: 1,
            spade_hidden: 2,
            ..ModelConfig::default()
        };
        let name = mode.name();
        export(checkpoint(model), name, folder.path()).unwrap();
        let file = folder.path().join(format!("{name}_net_G.pth"));
        let known = Known {
            dataset_mode: Some(mode),
            ..Known::default()
        };
        let back = import(std::slice::from_ref(&file), &known).unwrap();
        let model = &back.config.model;
        assert_eq!(
            (model.label_nc, model.dontcare, model.edges),
            (label_nc, dontcare, edges)
        );
        assert_eq!(model.output(), size, "{name}");
        assert_eq!(
            back.space.table.classes.len(),
            label_nc + usize::from(mode == DatasetMode::Ade20k),
            "named"
        );
        let other = Known {
            dataset_mode: Some(DatasetMode::Flickr),
            ..Known::default()
        };
        let error = import(&[file], &other).unwrap_err();
        assert_eq!(error.exit_code(), 3);
        let message = error.to_string();
        assert!(
            message.contains("dataset_mode flickr") && message.contains("label_nc"),
            "{message}"
        );
    }
}

#[test]
fn files_that_do_not_belong_together_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let model = small();
    let known = known(&model);
    let refused = |files: &[PathBuf], parts: &[&str]| {
        let message = import(files, &known).unwrap_err().to_string();
        for part in parts {
            assert!(message.contains(part), "{part:?} is not in {message:?}");
        }
    };
    export(checkpoint(model.clone()), "a", folder.path()).unwrap();
    let other = ModelConfig {
        label_nc: 4,
        ..model.clone()
    };
    export(checkpoint(other), "b", folder.path()).unwrap();
    let [g, d, other_d] = ["a_net_G.pth", "a_net_D.pth", "b_net_D.pth"].map(file);
    let first = "D.discriminator_0.model0.0.weight";
    refused(
        &[g.clone(), other_d],
        &[
            "b_net_D.pth",
            first,
            "[3, 9, 4, 4]",
            "[3, 10, 4, 4]",
            "label_nc",
        ],
    );
    refused(std::slice::from_ref(&d), &["no file holds a generator"]);
    refused(&[g.clone(), d.clone(), d], &["both hold a discriminator"]);
    refused(
        &[g.clone(), fixture("pth_encoder_legacy.pth")],
        &["takes no styles", "leave this file out"],
    );
    refused(
        &[fixture("pth_kinds_zip.pth")],
        &["pth_kinds_zip.pth", "no generator"],
    );

    for start in [0, 3, 200] {
        let path = file("other.pth");
        std::fs::write(&path, &[b'#'; 200][..start]).unwrap();
        refused(
            &[path],
            &["other.pth, byte 0", "not a file that torch.save wrote"],
        );
    }

    let damaged = |change: &dyn Fn(&mut StateDict), parts: &[&str]| {
        let mut state = read_weights(&g).unwrap();
        change(&mut state);
        let path = file("damaged.pth");
        write(&state, &path);
        refused(&[path], parts);
    };
    let zeros = |shape: &[usize]| HostTensor::new(shape, vec![0.0; shape.iter().product()]);
    damaged(
        &|state| drop(state.tensors.insert("up_1.conv_1.bias".into(), zeros(&[3]))),
        &["damaged.pth", "G.up_1.conv_1.bias", "[3]", "[8]", "ngf"],
    );
    damaged(
        &|state| drop(state.tensors.remove("up_2.norm_s.mlp_beta.bias")),
        &["G.up_2.norm_s.mlp_beta.bias is missing"],
    );
    damaged(
        &|state| drop(state.tensors.insert("up_9.bias".into(), zeros(&[1]))),
        &["G.up_9.bias", "none of this name"],
    );
    damaged(
        &|state| {
            drop(state.tensors.insert(
                "head_0.norm_0.mlp_shared.0.weight".into(),
                zeros(&[6, 7, 2, 2]),
            ))
        },
        &["2x2"],
    );
    for shape in [&[0, 7, 3, 3][..], &[6, 7], &[6, 7, 3, 5]] {
        damaged(
            &|state| {
                drop(
                    state
                        .tensors
                        .insert("head_0.norm_0.mlp_shared.0.weight".into(), zeros(shape)),
                )
            },
            &["head_0.norm_0.mlp_shared.0.weight", "none of this method"],
        );
    }
}

#[test]
fn the_moving_average_is_what_is_exported() {
    let folder = tempfile::tempdir().unwrap();
    let mut whole = checkpoint(small());
    let mut average = whole.networks.tensors["G.fc.bias"].clone();
    average.data.fill(0.25);
    let name = "ema.G.fc.bias".to_owned();
    whole.networks.tensors.insert(name, average.clone());
    export(whole, "latest", folder.path()).unwrap();
    let state = read_weights(&folder.path().join("latest_net_G.pth")).unwrap();
    assert_eq!(state.tensors["fc.bias"], average);
    assert_eq!(state.tensors.len() + state.counters.len(), 234);
}

/// Files of wrapped networks and of old frameworks.
#[test]
fn old_layouts_are_brought_up_to_date() {
    let folder = tempfile::tempdir().unwrap();
    let model = small();
    let whole = checkpoint(model.clone());
    export(whole.clone(), "latest", folder.path()).unwrap();
    let mut state = read_weights(&folder.path().join("latest_net_G.pth")).unwrap();
    state.counters.clear();
    let names: Vec<_> = state
        .tensors
        .keys()
        .filter_map(|name| name.strip_suffix("_v").map(str::to_owned))
        .collect();
    for name in names {
        state.tensors.remove(&format!("{name}_v"));
        // Whatever its scale was: sigma is 2 here.
        let original = &state.tensors[&format!("{name}_orig")];
        let halved = original.data.iter().map(|x| x / 2.0).collect();
        let weight = HostTensor::new(original.shape.clone(), halved);
        state.tensors.insert(name, weight);
    }
    let mut wrapped = StateDict::default();
    wrapped.extend_prefixed("module.", state);
    let path = folder.path().join("old.pth");
    write(&wrapped, &path);
    let back = import(&[path], &known(&model)).unwrap();
    let new = |name: &&String| name.starts_with("G.");
    assert!(
        back.networks
            .tensors
            .keys()
            .eq(whole.networks.tensors.keys().filter(new))
    );
    assert!(back.networks.counters.values().all(|&count| count == 0));
    assert_eq!(back.networks.counters.len(), 18);
}

/// A trained generator goes through an official file and draws what it drew before.
#[test]
fn an_imported_generator_draws_the_recorded_pictures() {
    let golden = Golden::open("train3.safetensors");
    let mut state = StateDict::default();
    for name in golden.names("out.final.G.") {
        let short = name["out.final.G.".len()..].to_owned();
        if short.ends_with("num_batches_tracked") {
            state.counters.insert(short, 0);
        } else {
            let (shape, numbers) = golden.numbers(&name);
            let numbers = numbers.into_iter().map(|x| x as f32).collect();
            state.tensors.insert(short, HostTensor::new(shape, numbers));
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("latest_net_G.pth");
    write(&state, &path);
    let known = Known {
        label_nc: Some(5),
        upsampling: Some(Upsampling::Normal),
        crop_size: Some(64),
        aspect_ratio: Some(1.0),
        ..Known::default()
    };
    let imported = import(&[path], &known).unwrap();
    let model = imported.config.model.clone();
    assert_eq!(
        (model.ngf, model.spade_hidden, model.semantic_nc()),
        (4, 16, 7)
    );
    let map = layout(&golden, "eval.in.");
    let (_, want) = golden.numbers("out.eval.fake");
    for gpu in gpus() {
        let mut generator = Generator::new(gpu, model.clone(), &imported.networks).unwrap();
        let got: Vec<f64> = planar(&generator.pictures(&map, &[]).unwrap())
            .data
            .iter()
            .map(|&x| x.into())
            .collect();
        // Pictures in -1..1 through 22 layers.
        assert_close("fake", &got, &want, 1e-4);
    }
}

fn layout(golden: &Golden, prefix: &str) -> IdMap {
    let (extents, labels) = golden.numbers(&format!("{prefix}label"));
    let (_, instances) = golden.numbers(&format!("{prefix}instance"));
    let [n, h, w] = [extents[0], extents[2], extents[3]];
    let labels: Vec<u32> = labels.iter().map(|&id| id as u32).collect();
    let edges: Vec<_> = instances
        .chunks(h * w)
        .flat_map(|ids| {
            let ids = ids.iter().map(|&id| id as u32).collect();
            spadework::data::augment::instance_edges(&spadework::data::Grid::new(w, h, ids))
        })
        .collect();
    IdMap::from_labels([n, h, w], &labels, Some(&edges))
}

/// Every output of the discriminators in PyTorch's file, features and logits at both scales.
#[test]
fn discriminators_of_a_pytorch_file_judge_as_recorded() {
    let golden = Golden::open("discriminator.safetensors");
    let weights = read_weights(&fixture("pth_discriminator_zip.pth")).unwrap();
    let config = ModelConfig {
        label_nc: 6,
        dontcare: true,
        edges: true,
        ndf: 4,
        crop_size: 64,
        ..ModelConfig::default()
    };
    let params = discriminator_params(&config);
    let inputs = Inputs::training(&config, 1);
    let mut net = Net::new(&params, Mode::Evaluation);
    let photos = inputs.photos(&mut net).unwrap();
    let verdicts = discriminators(&mut net, &config, &inputs, photos).unwrap();
    let mut graph = net.graph;
    let mut shapes = Vec::new();
    for (scale, verdict) in verdicts.iter().enumerate() {
        let outputs = verdict.features.iter().chain([&verdict.logits]);
        for (i, &value) in outputs.enumerate() {
            let name = format!("D.{scale}.{i}");
            graph.output(&name, value);
            shapes.push((name, graph.shape(value)));
        }
    }
    assert_eq!(shapes.len(), 10);

    let map = layout(&golden, "");
    let image = golden.tensor("image", Layout::Map);
    let mut dense = HashMap::from([(inputs.photos_name(), image.to_device(0.0))]);
    for spec in params.specs() {
        let tensor = &weights.tensors[spec.name.trim_start_matches("D.")];
        assert_eq!(tensor.shape, spec.dims, "{}", spec.name);
        dense.insert(spec.name.clone(), spec.pack(&tensor.data).unwrap());
    }
    // Of the tables the discriminators read the last one alone.
    let table = inputs.table_names().last().unwrap();
    let words = inputs.tables(&map).unwrap().pop().unwrap();
    let index = HashMap::from([(table, words), (inputs.symbols_name(), map.ids.clone())]);
    for gpu in gpus() {
        let got = run_on(gpu, &graph, &dense, &index);
        for (name, shape) in &shapes {
            let got = planar(&Tensor::from_device(*shape, &got[name])).data;
            let got: Vec<f64> = got.iter().map(|&x| x.into()).collect();
            let (_, want) = golden.numbers(name);
            let limit = 1e-5 * max_abs(&want) + 1e-5;
            assert_close(name, &got, &want, limit);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever shapes a file's tensors have, it becomes a checkpoint or is refused with a reason.
    #[test]
    fn networks_of_any_shapes_are_imported_or_refused(
        network in 0..3usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), shape()), 1..4),
    ) {
        let model = ModelConfig { use_vae: true, ngf: 1, ndf: 1, spade_hidden: 1, z_dim: 2, ..small() };
        let known = known(&model);
        let mut states: Vec<StateDict> = ["G.", "D.", "E."].map(|letter| {
            let tensors = checkpoint(model.clone()).networks.tensors.into_iter();
            let own = tensors.filter_map(|(name, tensor)| Some((name.strip_prefix(letter)?.to_owned(), tensor)));
            StateDict { tensors: own.collect(), ..StateDict::default() }
        }).into();
        let tensors = &mut states[network].tensors;
        for (index, shape) in changes {
            let name = index.get(&tensors.keys().cloned().collect::<Vec<_>>()).clone();
            let numbers = shape.iter().product();
            tensors.insert(name, HostTensor::new(shape, vec![0.5; numbers]));
        }
        let folder = tempfile::tempdir().unwrap();
        let files: Vec<_> = states.iter().enumerate().map(|(i, state)| {
            let path = folder.path().join(format!("{i}.pth"));
            write(state, &path);
            path
        }).collect();
        match import(&files, &known) {
            Ok(whole) => prop_assert!(whole.config.model.validate().is_ok()),
            Err(error) => prop_assert!(error.exit_code() == 2 || error.exit_code() == 3, "{error}"),
        }
    }
}

/// Small shapes, and empty ones with long sides, as far as a file can state their strides.
fn shape() -> impl Strategy<Value = Vec<usize>> {
    let small = prop::collection::vec(0..9usize, 0..5);
    let empty = (1..5usize, 0..4usize, 0..31u32).prop_map(|(axes, zero, bits)| {
        let mut shape = vec![1 << (bits as usize / axes); axes];
        shape[zero % axes] = 0;
        shape
    });
    prop_oneof![small, empty]
}

/// What the README says of moving over, with a small generator in place of the published one, and one iteration without
/// VGG in place of a training.
#[test]
fn the_commands_of_the_readme_move_a_model_over() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let data = at("datasets/coco_stuff");
    for (kind, value) in [("img", 90), ("label", 171), ("inst", 3)] {
        for (phase, name) in [("train", "000000017914"), ("val", "000000000139")] {
            let file = data.join(format!("{phase}_{kind}/{name}.png"));
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            let grey = image::GrayImage::from_pixel(40, 30, image::Luma([value]));
            grey.save(file).unwrap();
        }
    }
    let published = ModelConfig {
        label_nc: 182,
        dontcare: true,
        edges: true,
        ngf: 1,
        ndf: 1,
        spade_hidden: 2,
        ..ModelConfig::default()
    };
    let checkpoints = at("checkpoints/coco_pretrained");
    export(checkpoint(published), "latest", &checkpoints).unwrap();
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md"));
    let readme = readme.unwrap();
    let (_, section) = readme.split_once("## Moving from the official").unwrap();
    let (_, commands) = section.split_once("```sh\n").unwrap();
    let (commands, _) = commands.split_once("```").unwrap();
    let run = |line: &str| {
        let mut program = Command::new(env!("CARGO_BIN_EXE_spadework"));
        program.args(line.split_whitespace().skip(1));
        program.current_dir(folder.path()).output().unwrap()
    };
    assert_eq!(commands.lines().count(), 5);
    for command in commands.lines() {
        let mut line = command.replace("--vgg-weights vgg19.pth", "--no-vgg-loss");
        if line.contains(" train ") {
            line += " --max-steps 1 --ndf 1";
        }
        let output = run(&line);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command}: {error}");
    }
    let drawn = image::open(at("results/000000000139.png")).unwrap();
    assert_eq!((drawn.width(), drawn.height()), (256, 256));
    let tuned = read_weights(&at("checkpoints/coco_tuned/latest_net_G.pth")).unwrap();
    let before = read_weights(&checkpoints.join("latest_net_G.pth")).unwrap();
    assert!(tuned.tensors.keys().eq(before.tensors.keys()));
    assert!(tuned.tensors != before.tensors, "it has learned");

    // Ids of another data set would be drawn as what they are not.
    for (options, reason) in [
        ("ade20k", "150 classes, but this generator has learned 182"),
        ("flickr", "give --no-instance"),
    ] {
        let line = format!(
            "spadework synth coco.safetensors datasets/coco_stuff --out other --dataset-mode {options}"
        );
        let output = run(&line);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{options}");
        assert!(error.contains(reason), "{error}");
    }
}
