NAME        columns
ROWS
 N  Obj     
 G  cover_0 
 L  limit_0 
 L  limit_1 
COLUMNS
    MARK0000  'MARKER'                 'INTORG'
    y_0       Obj       23397
    y_0       cover_0   1
    y_0       limit_0   0.02
    y_0       limit_1   0.01849609375
    y_1       Obj       48176
    y_1       cover_0   3
    y_1       limit_0   0.04
    y_1       limit_1   0.0369970703125
    u_0       Obj       169022
    u_0       cover_0   1
    MARK0001  'MARKER'                 'INTEND'
RHS
    RHS_V     cover_0   5
    RHS_V     limit_0   1
    RHS_V     limit_1   1
BOUNDS
 LI BOUND     y_0       0
 LI BOUND     y_1       0
 UI BOUND     u_0       5
ENDATA
