"""The systems: one file each, behind one contract (`base`); `registry` names them."""

from ..lazy import attach

__getattr__, __all__ = attach(
    __name__,
    {
        "registry": ["available_models", "build_model", "model_class"],
        "base": ["RankingModel", "Representation"],
        "anchors": ["Oracle", "Popularity"],
        "floors": ["CategoryCount", "EASE", "ItemKNN"],
        "search.lookup": ["BM25", "QueryLookup"],
        "recommendation.bert4rec": ["BERT4Rec"],
        "recommendation.collm": ["CoLLM"],
        "recommendation.din": ["DIN"],
        "recommendation.fmlp": ["FMLPRec"],
        "recommendation.gru4rec": ["GRU4Rec"],
        "recommendation.idgenrec": ["IDGenRec"],
        "recommendation.lightgcn": ["LightGCN", "LightGCNConfig"],
        "recommendation.nrhub": ["NRHUB"],
        "recommendation.sasrec": ["SASRec"],
        "recommendation.seqrec": ["SeqRec"],
        "recommendation.sesrec": ["SESRec"],
        "joint.bsr": ["BSR"],
        "joint.gensar": ["GenSAR"],
        "joint.unisar": ["UniSAR"],
        "gensr.model": ["GenSR", "GenSRConfig"],
        "gensr.prompt": ["PROMPTS"],
        "layers": ["SoftFilter"],
        "losses": ["contrastive"],
    },
    modules=["layers", "losses"],
)
