NAME        resource-lp
ROWS
 N  Obj     
 L  order_0_0_0
 L  order_0_0_1
 L  order_0_0_2
 L  order_0_1_0
 L  order_0_1_1
 L  order_0_1_2
 L  shape_0 
 L  shape_1 
 L  shape_2 
 L  shape_3 
 L  shape_4 
 L  shape_5 
 L  shape_6 
 L  shape_7 
COLUMNS
    p_0_0     Obj       -0.283018867924528
    p_0_0     order_0_0_0  1
    p_0_1     Obj       -0.141176470588235
    p_0_1     order_0_0_1  1
    p_0_2     Obj       -0.075
    p_0_2     order_0_0_2  1
    p_1_0     Obj       -0.754716981132075
    p_1_0     order_0_1_0  1
    p_1_0     shape_0   0.119496855345912
    p_1_0     shape_1   0.245283018867925
    p_1_0     shape_3   0.245283018867925
    p_1_0     shape_6   1
    p_1_1     Obj       -0.313725490196078
    p_1_1     order_0_1_1  1
    p_1_1     shape_0   0.0588235294117647
    p_1_1     shape_1   0.12156862745098
    p_1_1     shape_3   0.498039215686275
    p_1_1     shape_6   1
    p_1_2     Obj       -0.25
    p_1_2     order_0_1_2  1
    p_1_2     shape_0   1
    p_1_2     shape_1   1
    p_1_2     shape_3   1
    p_1_2     shape_6   1
    m_0_0     order_0_0_0  -1
    m_0_0     order_0_1_0  -1
    m_0_0     shape_2   0.119496855345912
    m_0_0     shape_4   0.245283018867925
    m_0_0     shape_5   0.245283018867925
    m_0_0     shape_7   1
    m_0_1     order_0_0_1  -1
    m_0_1     order_0_1_1  -1
    m_0_1     shape_2   0.0588235294117647
    m_0_1     shape_4   0.12156862745098
    m_0_1     shape_5   0.498039215686275
    m_0_1     shape_7   1
    m_0_2     order_0_0_2  -1
    m_0_2     order_0_1_2  -1
    m_0_2     shape_2   1
    m_0_2     shape_4   1
    m_0_2     shape_5   1
    m_0_2     shape_7   1
RHS
    RHS_V     shape_0   0.031
    RHS_V     shape_1   0.066
    RHS_V     shape_2   0.085
    RHS_V     shape_3   0.1
    RHS_V     shape_4   0.17
    RHS_V     shape_5   0.252
    RHS_V     shape_6   0.28
    RHS_V     shape_7   0.768
BOUNDS
 UP BOUND     p_0_0     10000
 UP BOUND     p_0_1     10000
 UP BOUND     p_0_2     10000
 UP BOUND     p_1_0     10000
 UP BOUND     p_1_1     10000
 UP BOUND     p_1_2     10000
 UP BOUND     m_0_0     10000
 UP BOUND     m_0_1     10000
 UP BOUND     m_0_2     10000
ENDATA
